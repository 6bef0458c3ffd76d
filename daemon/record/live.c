/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of buckets of four slots, one cache line each. A connection may be in either of two buckets, which
 * are parts of its hash, so that nearly all slots are filled before one has to make room. Slots hold the
 * whole hash (keyed, so that nobody outside can choose what collides) in place of the connection: among a
 * million, two are taken for one with a probability of 1 in 30 million.
 *
 * Times are ticks that fit into 23 bits; connections are forgotten long before they go around.
 */

#include "daemon/record/live.h"

#include "common/clock.h"
#include "common/details.h"
#include "common/time_text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKET_SLOTS 4
#define FILL_MAX                                                                                             \
	2.5 /* connections in a bucket: of a thousand, none or one finds both of its buckets full            \
	     */
#define BUCKETS_MIN 64
#define SWEEPS	    16 /* windows in which the whole table is looked at once */

#define TICK	 (NSEC_PER_SEC / 4)
#define TICKS(s) ((s)*4)
#define TICK_MAX 0x7fffff

/* How long a connection may be silent. */
#define SILENCE	    60		    /* s; what is not TCP then begins anew */
#define CLOSING_MAX 240		    /* ended, or never answered: twice a segment's lifetime (RFC 9293) */
#define OPEN_MAX    (5 * 24 * 3600) /* as the kernel's connection tracking */
#define ABSENCE_MAX (TICK_MAX / TICKS(2)) /* of windows, until ticks could be mistaken */

#define LATER_FRAGMENT 255
#define TCP_FIN	       0x01
#define TCP_SYN	       0x02
#define TCP_RST	       0x04
#define TCP_ACK	       0x10

enum state {
	STATE_OPENER = 3,	/* enum opener */
	STATE_HAS_SYN = 1 << 2, /* last_syn is set */
	STATE_LAST_SYN_RECEIVED = 1 << 3,
	STATE_SRC_ENDED = 1 << 4, /* it has sent a FIN; both, once there was a RST */
	STATE_DST_ENDED = 1 << 5,
	STATE_ENDED = STATE_SRC_ENDED | STATE_DST_ENDED,
	STATE_ANSWERED = 1 << 6, /* the end that did not open it has sent something */
	STATE_TCP = 1 << 7,
	STATE_USED = 1 << 8,
	STATE_MASK = (1 << 9) - 1,
};

struct slot {
	uint64_t hash;
	uint32_t last_syn;
	uint32_t seen : 23; /* end of the last window that had packets, in ticks */
	uint32_t state : 9;
};

struct bucket {
	struct slot slots[BUCKET_SLOTS];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct bucket) == 64, "a cache line");

struct live {
	struct region region;
	size_t n_buckets, max_buckets;
	size_t capacity;
	size_t used;
	size_t swept; /* buckets, of this round */
	uint64_t seed[4];
	uint64_t forgotten;

	int64_t end;		/* of the last window, ns; 0: none */
	int64_t complete_since; /* what is not TCP and not remembered was silent since then; */
	int64_t hidden_until;	/* but for what was not followed, since then */
	uint32_t now;		/* the window's end in ticks, */
	int32_t length;		/* and its length, both rounded up */
	bool is_silence_known;	/* in this window, of what is not remembered */
};

static struct bucket *buckets(const struct live *live)
{
	return live->region.data;
}

/* ---- one slot ---- */

/* One end has nothing more to say; the other may take its time. */
static bool is_half_closed(uint32_t state)
{
	return state & STATE_HAS_SYN && state & STATE_ANSWERED && state & STATE_ENDED &&
	       (state & STATE_ENDED) != STATE_ENDED;
}

static int32_t lifetime(uint32_t state)
{
	if (!(state & STATE_TCP))
		return TICKS(SILENCE);
	if (state & STATE_ENDED ? !is_half_closed(state) : state & STATE_HAS_SYN && !(state & STATE_ANSWERED))
		return TICKS(CLOSING_MAX);
	return TICKS(OPEN_MAX);
}

/* Ticks from the window in which it was last seen to the end of this one. */
static int32_t age(const struct live *live, const struct slot *slot)
{
	return (int32_t)((live->now - slot->seen) & TICK_MAX);
}

/* Whether the connection is still the same if it speaks in this window. */
static bool lives(const struct live *live, const struct slot *slot)
{
	return slot->state & STATE_USED && age(live, slot) - live->length < lifetime(slot->state);
}

enum rank { RANK_CLOSING, RANK_OTHER, RANK_OPEN };

/* What is missed least when room is needed: closing connections, then half closed ones, and what is not TCP.
 */
static enum rank rank(uint32_t state)
{
	if (!(state & STATE_TCP) || is_half_closed(state))
		return RANK_OTHER;
	return lifetime(state) == TICKS(OPEN_MAX) ? RANK_OPEN : RANK_CLOSING;
}

/* The same among slots: of equals, the oldest. 0: nobody is there. */
static uint32_t worth(const struct live *live, const struct slot *slot)
{
	if (!lives(live, slot))
		return 0;
	return (uint32_t)rank(slot->state) << 24 | (TICK_MAX - (uint32_t)age(live, slot));
}

/* ---- the table ---- */

static struct bucket *bucket_of(const struct live *live, uint64_t hash, int choice)
{
	uint64_t part = choice ? hash >> 32 : hash & UINT32_MAX;

	return &buckets(live)[part * live->n_buckets >> 32];
}

static struct slot *find(struct live *live, uint64_t hash)
{
	if (live->n_buckets == 0)
		return NULL;
	for (int choice = 0; choice < 2; choice++) {
		struct bucket *bucket = bucket_of(live, hash, choice);

		for (size_t i = 0; i < BUCKET_SLOTS; i++)
			if (bucket->slots[i].hash == hash && bucket->slots[i].state & STATE_USED)
				return &bucket->slots[i];
	}
	return NULL;
}

static void drop(struct live *live, struct slot *slot)
{
	*slot = (struct slot){};
	live->used--;
}

/* A slot that is free, or whose connection lives no more, in the bucket that has more of them; or NULL. */
static struct slot *find_free(struct live *live, uint64_t hash)
{
	struct slot *found = NULL;
	size_t most = 0;

	for (int choice = 0; choice < 2 && live->n_buckets > 0; choice++) {
		struct bucket *bucket = bucket_of(live, hash, choice);
		struct slot *last = NULL;
		size_t n = 0;

		for (size_t i = 0; i < BUCKET_SLOTS; i++) {
			if (lives(live, &bucket->slots[i]))
				continue;
			last = &bucket->slots[i];
			n++;
		}
		if (n > most) {
			most = n;
			found = last;
		}
	}
	if (found && found->state & STATE_USED)
		drop(live, found);
	return found;
}

/* A connection is forgotten too early. When it speaks again, it will look like one that was silent. */
static void count_forgotten(struct live *live, uint32_t state, int64_t seen)
{
	live->forgotten++;
	if (!(state & STATE_TCP))
		live->complete_since = MAX(live->complete_since, seen);
}

static struct slot *find_least(const struct live *live, uint64_t hash)
{
	struct slot *least = NULL;

	for (int choice = 0; choice < 2; choice++) {
		struct bucket *bucket = bucket_of(live, hash, choice);

		for (size_t i = 0; i < BUCKET_SLOTS; i++)
			if (!least || worth(live, &bucket->slots[i]) < worth(live, least))
				least = &bucket->slots[i];
	}
	return least;
}

/*
 * Of eight open connections, one moves to its other bucket if nobody is there, or one that is missed less.
 * Returns that one's slot, and the slot of the one that is to move; NULL: they are all open.
 */
static struct slot *find_move(const struct live *live, uint64_t hash, struct slot **ret_from)
{
	for (int choice = 0; choice < 2; choice++) {
		struct bucket *bucket = bucket_of(live, hash, choice);

		for (size_t i = 0; i < BUCKET_SLOTS; i++) {
			struct slot *least = find_least(live, bucket->slots[i].hash);

			if (lives(live, least) && rank(least->state) == RANK_OPEN)
				continue;
			*ret_from = &bucket->slots[i];
			return least;
		}
	}
	return NULL;
}

/* The slot that has to make room for a connection in this state; NULL: it is worth less than all. */
static struct slot *evict(struct live *live, uint64_t hash, uint32_t state)
{
	struct slot *least = find_least(live, hash), *from = least, *to = NULL;

	if (rank(state) < rank(least->state)) {
		count_forgotten(live, state, live->end);
		return NULL;
	}
	if (rank(least->state) == RANK_OPEN)
		to = find_move(live, hash, &from);
	if (!to)
		to = least;
	if (lives(live, to))
		count_forgotten(live, to->state, live->end - age(live, to) * TICK);
	if (to->state & STATE_USED)
		drop(live, to);
	if (to != from) {
		*to = *from;
		*from = (struct slot){};
	}
	return from;
}

static size_t next_size(const struct live *live, size_t n_buckets)
{
	return MIN(MAX(n_buckets / 2 * 3, (size_t)BUCKETS_MIN), live->max_buckets);
}

/* Copies all that lives into the table, which is empty. False where one finds no room, and the table may
 * grow. */
static bool fill(struct live *live, const struct slot *slots, size_t n)
{
	bool may_grow = live->n_buckets < live->max_buckets;

	for (size_t i = 0; i < n; i++) {
		struct slot *slot;

		if (!lives(live, &slots[i]))
			continue;
		slot = find_free(live, slots[i].hash);
		if (!slot && may_grow)
			return false;
		if (!slot)
			slot = evict(live, slots[i].hash, slots[i].state);
		if (!slot)
			continue;
		*slot = slots[i];
		live->used++;
	}
	return true;
}

/* Moves all that lives to a table of another size, or of a larger one if that is too small for them. 0 or
 * -ENOMEM, nothing changed. */
static int resize(struct live *live, size_t n_buckets)
{
	struct live before = *live;
	bool filled = false;

	while (!filled) {
		struct region region = {};
		int r = region_grow(&region, n_buckets * sizeof(struct bucket));

		if (r < 0) {
			*live = before;
			return r;
		}
		live->region = region;
		live->n_buckets = n_buckets;
		live->used = 0;
		live->swept = 0;
		filled = fill(live, before.region.data, before.n_buckets * BUCKET_SLOTS);
		if (!filled)
			region_deinit(&live->region);
		n_buckets = next_size(live, n_buckets);
	}
	region_deinit(&before.region);
	return 0;
}

/* A slot for a connection that has none; NULL: there is no room. */
static struct slot *make_slot(struct live *live, uint64_t hash, uint32_t state)
{
	struct slot *slot = find_free(live, hash);

	while (!slot && live->n_buckets < live->max_buckets &&
	       resize(live, next_size(live, live->n_buckets)) == 0)
		slot = find_free(live, hash);
	if (live->n_buckets == 0)
		count_forgotten(live, state, live->end);
	else if (!slot)
		slot = evict(live, hash, state);
	if (!slot)
		return NULL;
	live->used++;
	slot->hash = hash;
	return slot;
}

/* Drops what lives no more in a part of the table; one that is nearly empty becomes smaller. */
static void sweep(struct live *live)
{
	size_t end = MIN(live->swept + live->n_buckets / SWEEPS, live->n_buckets);

	for (size_t i = live->swept * BUCKET_SLOTS; i < end * BUCKET_SLOTS; i++) {
		struct slot *slot = &((struct slot *)live->region.data)[i];

		if (slot->state & STATE_USED && !lives(live, slot))
			drop(live, slot);
	}
	live->swept = end;
	if (end < live->n_buckets)
		return;
	live->swept = 0;
	if (live->n_buckets > BUCKETS_MIN && live->used < live->n_buckets / 4)
		resize(live, MAX(live->n_buckets / 2, (size_t)BUCKETS_MIN));
}

static void clear(struct live *live)
{
	region_deinit(&live->region);
	live->n_buckets = live->used = live->swept = 0;
}

/* ---- windows ---- */

static size_t buckets_for(size_t capacity)
{
	return MAX((size_t)((double)capacity / FILL_MAX) + 1, (size_t)BUCKETS_MIN);
}

int live_new(size_t capacity, struct live **ret_live)
{
	_cleanup_(live_freep) struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return -ENOMEM;
	if (getrandom(live->seed, sizeof(live->seed), 0) != (ssize_t)sizeof(live->seed))
		return errno ? -errno : -EIO;
	live->capacity = capacity;
	live->max_buckets = buckets_for(capacity);
	live->complete_since = INT64_MAX;
	*ret_live = TAKE_PTR(live);
	return 0;
}

void live_free(struct live *live)
{
	if (!live)
		return;
	region_deinit(&live->region);
	free(live);
}

void live_set_capacity(struct live *live, size_t capacity)
{
	size_t before = live->max_buckets;

	live->max_buckets = buckets_for(capacity);
	if (live->n_buckets > live->max_buckets && resize(live, live->max_buckets) < 0)
		live->max_buckets = before;
	else
		live->capacity = capacity;
}

void live_begin(struct live *live, int64_t now)
{
	clear(live);
	live->end = now;
	live->complete_since = now;
	live->hidden_until = now;
}

void live_miss(struct live *live, int64_t now)
{
	live->complete_since = MAX(live->complete_since, now);
}

void live_hide(struct live *live, int64_t now)
{
	live->hidden_until = now;
}

void live_show(struct live *live)
{
	live_miss(live, live->hidden_until);
}

void live_begin_window(struct live *live, int64_t start, int64_t end)
{
	int64_t first = start / TICK, last = (end + TICK - 1) / TICK;

	/* Ticks could be mistaken: the machine slept, say. */
	if (end - live->end > ABSENCE_MAX * NSEC_PER_SEC)
		clear(live);
	live->end = end;
	live->now = (uint32_t)(last & TICK_MAX);
	live->length = (int32_t)MIN(last - first, (int64_t)TICK_MAX);
	live->is_silence_known = start - live->complete_since >= SILENCE * NSEC_PER_SEC;
	sweep(live);
}

/* ---- connections ---- */

uint64_t live_hash(const struct live *live, const struct entry_key *key)
{
	struct entry_key connection = *key;
	uint64_t hash;

	connection.bytes[ENTRY_CLASS] = 0;
	hash = entry_key_hash(&connection, live->seed);
	if (live->n_buckets > 0) {
		__builtin_prefetch(bucket_of(live, hash, 0));
		__builtin_prefetch(bucket_of(live, hash, 1));
	}
	return hash;
}

/* What is remembered, in the form of the time before. */
static struct details before(const struct slot *slot)
{
	struct details details = {.opener = slot->state & STATE_OPENER, .last_syn = slot->last_syn};
	bool received = slot->state & STATE_LAST_SYN_RECEIVED;

	details.bits = (uint16_t)((slot->state & STATE_HAS_SYN ? DETAILS_HAS_SYN : 0) |
				  (received ? DETAILS_LAST_SYN_RECEIVED : 0) |
				  (slot->state & STATE_ENDED ? DETAILS_ENDED : 0));
	if (slot->state & STATE_ANSWERED && !details_is_attempt(&details))
		details.bits |= DETAILS_ANSWERED;
	return details;
}

/* Which ends have ended the last connection. */
static uint32_t ends_after(const struct details *details, uint32_t old)
{
	uint32_t ends = details->starts == 0 ? old & STATE_ENDED : 0;

	if (!(details->bits & DETAILS_ENDED))
		return 0;
	ends |= details->tx_flags & TCP_FIN ? STATE_SRC_ENDED : 0;
	ends |= details->rx_flags & TCP_FIN ? STATE_DST_ENDED : 0;
	return ends && !((details->tx_flags | details->rx_flags) & TCP_RST) ? ends : STATE_ENDED;
}

/* What the end has sent that has to answer the last SYN. */
static uint8_t answer_flags(const struct details *details, uint32_t state)
{
	return state & STATE_LAST_SYN_RECEIVED ? details->tx_flags : details->rx_flags;
}

/* Whether all SYNs here are of the end that has opened a connection, which is open and answered. */
static bool is_sent_into_own(const struct details *details, uint32_t old, uint8_t answer)
{
	bool lives = old & STATE_ANSWERED && !(old & STATE_ENDED) && (old & STATE_OPENER) == details->opener;

	return !(details->bits & DETAILS_OPENERS_DIFFER) && details->ends == 0 &&
	       (lives || (answer & TCP_SYN && answer & TCP_ACK));
}

static uint32_t state_after(const struct details *details, uint32_t old)
{
	uint32_t state = STATE_USED | STATE_TCP | details->opener | ends_after(details, old);
	uint8_t answer;

	if (details->bits & DETAILS_HAS_SYN)
		state |= STATE_HAS_SYN |
			 (details->bits & DETAILS_LAST_SYN_RECEIVED ? STATE_LAST_SYN_RECEIVED : 0);
	else
		state |= old & (STATE_HAS_SYN | STATE_LAST_SYN_RECEIVED);
	answer = answer_flags(details, state);
	/* An attempt is made in a connection that was answered. */
	if (details->bits & DETAILS_ANSWERED || details_is_attempt(details))
		state |= STATE_ANSWERED;
	else if (details->starts == 0)
		state |= old & STATE_ANSWERED;
	else if (details->bits & DETAILS_HAS_SYN && is_sent_into_own(details, old, answer))
		state |= STATE_ANSWERED;
	return state;
}

/*
 * Whether the end that has to answer the last SYN goes on without an answer: with a connection that was there
 * before anybody counted. Where a SYN is the first that is known, other flags may be of one that has ended.
 */
static bool is_older(const struct details *details, uint32_t old, uint32_t state)
{
	bool begins = details->starts > 0;
	bool half_closed = is_half_closed(old) && details->opener != (old & STATE_OPENER) &&
			   !(details->bits & DETAILS_EARLY_END);
	bool first = (!(old & (STATE_OPENER | STATE_ENDED)) || half_closed) && details->ends == 0;
	uint8_t answer = answer_flags(details, state);

	return state & STATE_HAS_SYN && !(state & STATE_ANSWERED) && details->opener != OPENER_BOTH &&
	       answer & TCP_ACK && !(answer & (TCP_SYN | TCP_RST)) && (!begins || first);
}

/*
 * Whether the opener is known only by a SYN-ACK, and does not go on as who has opened a connection: it may be
 * a scan with SYN-ACKs, which nobody has asked for.
 */
static bool is_unasked(const struct details *details, uint32_t old)
{
	bool src = details->opener == OPENER_SRC;
	uint8_t opener = src ? details->tx_flags : details->rx_flags;
	uint8_t other = src ? details->rx_flags : details->tx_flags;
	bool asked = old & STATE_HAS_SYN && !(old & STATE_LAST_SYN_RECEIVED) == src;

	return !(old & STATE_OPENER) && !asked && details->starts == 0 &&
	       !(details->bits & DETAILS_HAS_SYN) && other & TCP_SYN &&
	       (!(opener & TCP_ACK) || opener & TCP_RST);
}

static void follow_tcp(struct live *live, uint64_t hash, struct details *details)
{
	struct slot *slot = find(live, hash);
	uint32_t old = 0, state;

	if (slot && lives(live, slot)) {
		struct details past = before(slot);
		/* A source that does not see packets knows itself what it says. */
		bool told = details->starts | details->ends &&
			    !(details->bits & (DETAILS_HAS_SYN | DETAILS_ENDED));

		old = slot->state;
		if (!told)
			details_follow(details, &past);
		else if (details->opener == OPENER_UNKNOWN && details->starts == 0)
			details->opener = past.opener;
	}
	if (is_unasked(details, old))
		details->opener = OPENER_UNKNOWN;
	state = state_after(details, old);
	if (is_older(details, old, state)) {
		details->opener = OPENER_UNKNOWN;
		state = (state & ~(uint32_t)STATE_OPENER) | STATE_ANSWERED;
	}
	/* Nothing is known of it, and nothing need be. */
	if (!slot && !(state & (STATE_OPENER | STATE_HAS_SYN | STATE_ENDED)))
		return;
	if (!slot)
		slot = make_slot(live, hash, state);
	if (!slot)
		return;
	if (details->bits & DETAILS_HAS_SYN)
		slot->last_syn = details->last_syn;
	slot->state = state & STATE_MASK;
	slot->seen = live->now;
}

static void follow_other(struct live *live, uint64_t hash, struct details *details)
{
	struct slot *slot = find(live, hash);
	bool seen = details->bits & DETAILS_HAS_FIRST;

	if (slot && lives(live, slot)) {
		/* Of what has begun, the source itself would know. */
		if (details->opener == OPENER_UNKNOWN && details->starts == 0)
			details->opener = slot->state & STATE_OPENER;
	} else if (!seen && details->opener == OPENER_UNKNOWN) {
		/* Of a source that does not see packets, silence means nothing. */
		return;
	} else if (seen && live->is_silence_known) {
		details->starts = 1;
		if (!(details->bits & DETAILS_FIRST_EITHER))
			details->opener = details->bits & DETAILS_FIRST_RECEIVED ? OPENER_DST : OPENER_SRC;
	}
	if (!slot)
		slot = make_slot(live, hash, details->opener);
	if (!slot)
		return;
	slot->state = (STATE_USED | details->opener) & STATE_MASK;
	slot->seen = live->now;
}

/* The end whose SYN was thrown away. */
static uint8_t end_of_dropped_syn(const struct details *details)
{
	return (uint8_t)((details->bits & DETAILS_SRC_SYN_DROPPED ? OPENER_SRC : OPENER_UNKNOWN) |
			 (details->bits & DETAILS_DST_SYN_DROPPED ? OPENER_DST : OPENER_UNKNOWN));
}

/*
 * Only drops are known: nothing passed in this window. A SYN among them tells which end tried to open a
 * connection, unless one that the other end opened, or nobody knows who, may still live.
 */
static void follow_drops(struct live *live, uint64_t hash, struct details *details)
{
	const struct slot *slot = find(live, hash);
	uint8_t tried = end_of_dropped_syn(details), known = OPENER_UNKNOWN;
	bool is_open = false;

	if (slot && lives(live, slot)) {
		known = slot->state & STATE_OPENER;
		is_open = !(slot->state & STATE_ENDED);
	}
	if (tried == OPENER_UNKNOWN || tried == known)
		details->opener = known;
	else
		details->opener = is_open ? OPENER_BOTH : tried;
}

void live_follow(struct live *live, uint64_t hash, struct entry *entry)
{
	uint8_t proto = entry->key.bytes[ENTRY_PROTO];
	struct details *details = &entry->details;

	/* No connections: what could not be decoded, and fragments of others. */
	if (proto == 0 || proto == LATER_FRAGMENT)
		return;
	if (counts_is_zero(&entry->counts) && !(details->starts | details->ends | details->opener)) {
		follow_drops(live, hash, details);
	} else if (proto == IPPROTO_TCP) {
		follow_tcp(live, hash, details);
	} else {
		follow_other(live, hash, details);
	}
}

struct live_status live_get_status(const struct live *live)
{
	return (struct live_status){
		.connections = live->used,
		.capacity = live->capacity,
		.forgotten = live->forgotten,
		.memory = live->region.size,
	};
}
