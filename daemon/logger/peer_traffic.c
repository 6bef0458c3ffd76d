/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers are in an array sorted by ID, their addresses in one sorted by address. Both are made anew only when
 * the tunnel says that its peers are others. "The last hour" moves in steps of five minutes, and who is shown
 * changes every two minutes at most: a peer that is busy for a moment does not make the counters come and go.
 */

#include "daemon/logger/peer_traffic.h"

#include "common/plain_text.h"
#include "common/time_text.h"
#include "daemon/logger/naming.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/record/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP	       (300 * NSEC_PER_SEC)
#define STEPS	       12
#define SHOW_AFTER     (120 * NSEC_PER_SEC) /* twice what Prometheus' readings are apart by default */
#define NAME_MAX_BYTES 200
#define ID_MAX_BYTES   128

struct peer {
	char *id, *label;
	struct counts counts[PEER_PATHS]; /* while it had counters */
	uint64_t recent[STEPS];		  /* bytes, in a ring of steps */
	uint64_t score;			  /* their sum, when it was last ranked */
	int64_t last_handshake;		  /* wall */
	enum device_path path;
	char via[16];
	bool reached;	    /* something has come from it: else its path may be none */
	bool shown;	    /* its counters */
	bool counts_itself; /* else its traffic is the rest's */
	bool waited;	    /* of one that is gone: a turn has begun since */
};

struct owner {
	struct address address;
	uint32_t peer;
};

struct peer_traffic {
	struct peer *peers; /* sorted by id */
	size_t n;
	struct owner *owners; /* sorted by address */
	size_t n_owners;
	struct peer *gone; /* sorted by label: counters that are still shown */
	size_t n_gone;
	uint64_t identities;	     /* the device's, of the peers that are here */
	const struct device *device; /* whose they are; only to see that it is another one */
	const struct nodes *nodes;   /* likewise */
	size_t max;
	bool begun;	   /* there has been a window's end */
	bool ranked;	   /* before, */
	int64_t ranked_at; /* at this boot time */
	int64_t step;	   /* the present one, counted from boot */
	/* Of paths: any peer has had them; peers have counters for them, to which traffic is added. */
	bool has[PEER_PATHS], shown[PEER_PATHS], counting[PEER_PATHS];
	struct counts other[PEER_PATHS];
	struct counts forgotten; /* of peers that are gone */
};

int peer_traffic_new(struct peer_traffic **ret_traffic)
{
	struct peer_traffic *traffic = calloc(1, sizeof(*traffic));

	if (!traffic)
		return -ENOMEM;
	/* So that a first endpoint finds its counter shown. */
	traffic->has[DEVICE_PATH_DIRECT] = traffic->shown[DEVICE_PATH_DIRECT] =
		traffic->counting[DEVICE_PATH_DIRECT] = true;
	*ret_traffic = traffic;
	return 0;
}

static void free_peers(struct peer *peers, size_t n)
{
	for (size_t i = 0; peers && i < n; i++) {
		free(peers[i].id);
		free(peers[i].label);
	}
	free(peers);
}

void peer_traffic_free(struct peer_traffic *traffic)
{
	if (!traffic)
		return;
	free_peers(traffic->peers, traffic->n);
	free_peers(traffic->gone, traffic->n_gone);
	free(traffic->owners);
	free(traffic);
}

void peer_traffic_set_max(struct peer_traffic *traffic, size_t max)
{
	traffic->max = max;
}

void peer_traffic_forget_device(struct peer_traffic *traffic)
{
	traffic->device = NULL;
}

/* --- peers --- */

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct peer *)a)->id, ((const struct peer *)b)->id);
}

static struct peer *find_peer(const struct peer_traffic *traffic, const char *id)
{
	const struct peer key = {.id = (char *)id};

	return traffic->n ? bsearch(&key, traffic->peers, traffic->n, sizeof(key), compare_ids) : NULL;
}

static void update_peer(struct peer_traffic *traffic, struct peer *peer, const struct device_peer *now)
{
	peer->path = now->path;
	peer->last_handshake = now->last_handshake;
	peer->reached = device_peer_is_reached(now);
	snprintf(peer->via, sizeof(peer->via), "%s", now->via ? now->via : "");
	/* Without a path there is hardly any traffic. */
	traffic->has[now->path] |= now->path != DEVICE_PATH_UNKNOWN;
}

/* A first reading of the peers, in whatever order they come. */
struct reading {
	struct peer_traffic *traffic; /* what it fills */
	const struct nodes *nodes;
	size_t room, owner_room;
	int error;
};

static int add_owner(struct reading *reading, const struct address *address)
{
	struct peer_traffic *traffic = reading->traffic;

	if (traffic->n_owners == reading->owner_room) {
		size_t room = reading->owner_room ? 2 * reading->owner_room : 64;
		struct owner *owners = reallocarray(traffic->owners, room, sizeof(*owners));

		if (!owners)
			return -ENOMEM;
		traffic->owners = owners;
		reading->owner_room = room;
	}
	/* The peer's place, until they are sorted. */
	traffic->owners[traffic->n_owners++] =
		(struct owner){.address = *address, .peer = (uint32_t)traffic->n};
	return 0;
}

/* The addresses that its entries may have as their source. */
static int add_owners(struct reading *reading, const struct device_peer *peer)
{
	const struct prefix_list *list = peer->addresses ? peer->addresses : peer->allowed_ips;
	bool single = false;
	int r = 0;

	for (size_t i = 0; r == 0 && list && i < list->n; i++) {
		const struct prefix *prefix = &list->items[i];

		if (!prefix_is_single(prefix))
			continue;
		single = true;
		r = add_owner(reading, &prefix->address);
	}
	/* Which may be none: a peer to which everything goes, and of which no address is known. */
	return r == 0 && !single ? add_owner(reading, &peer->source) : r;
}

/* Plain text already, if its source keeps its word; names that differ only by what the metrics cannot show
 * would be one. Cut between characters. */
static char *copy_name(const char *name)
{
	size_t n = strnlen(name, NAME_MAX_BYTES + 1);
	char *copy;

	if (n > NAME_MAX_BYTES)
		for (n = NAME_MAX_BYTES; n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;)
			n--;
	copy = strndup(name, n);
	if (copy)
		plain_text_clean(copy);
	return copy;
}

static void read_peer(const struct device_peer *from, void *userdata)
{
	struct reading *reading = userdata;
	struct peer_traffic *traffic = reading->traffic;
	const struct node *node = naming_find_peer(reading->nodes, from);
	const char *name = node ? node_name(node) : *from->name ? from->name : from->id;
	struct peer *peer;

	if (from->self || reading->error < 0 || traffic->n == PEER_TRAFFIC_PEERS_MAX)
		return;
	/* No tunnel has such IDs. */
	if (strlen(from->id) > ID_MAX_BYTES || strchr(from->id, '(') || !plain_text_is(from->id))
		return;
	if (traffic->n == reading->room) {
		size_t room = reading->room ? 2 * reading->room : 16;
		struct peer *peers = reallocarray(traffic->peers, room, sizeof(*peers));

		if (!peers) {
			reading->error = -ENOMEM;
			return;
		}
		traffic->peers = peers;
		reading->room = room;
	}
	reading->error = add_owners(reading, from);
	peer = &traffic->peers[traffic->n++];
	*peer = (struct peer){.id = strdup(from->id), .label = copy_name(name)};
	if (!peer->id || !peer->label)
		reading->error = -ENOMEM;
	update_peer(traffic, peer, from);
}

/* --- names --- */

static int compare_labels(const void *a, const void *b)
{
	const struct peer *left = *(struct peer *const *)a, *right = *(struct peer *const *)b;

	return strcmp(left->label, right->label);
}

static bool needs_id(const char *label)
{
	size_t n = strlen(label);

	return strcmp(label, "other") == 0 || (n > 0 && label[n - 1] == ')');
}

/* Two peers of one name, and one with the name of the rest, have their IDs as well; and so have those whose
 * names look as if they had. */
static int make_labels_differ(struct peer_traffic *traffic)
{
	struct peer **order = calloc(traffic->n + 1, sizeof(*order));
	bool *same = calloc(traffic->n + 1, sizeof(*same));
	int r = order && same ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < traffic->n; i++)
		order[i] = &traffic->peers[i];
	if (r == 0)
		qsort(order, traffic->n, sizeof(struct peer *), compare_labels);
	for (size_t i = 0; r == 0 && i < traffic->n; i++) {
		same[i] |= needs_id(order[i]->label);
		if (i > 0 && strcmp(order[i]->label, order[i - 1]->label) == 0)
			same[i] = same[i - 1] = true;
	}
	for (size_t i = 0; r == 0 && i < traffic->n; i++) {
		char *label;

		if (!same[i])
			continue;
		if (asprintf(&label, "%s (%s)", order[i]->label, order[i]->id) < 0) {
			r = -ENOMEM;
		} else {
			free(order[i]->label);
			order[i]->label = label;
		}
	}
	free(order);
	free(same);
	return r;
}

/* --- following the tunnel --- */

static int compare_owners(const void *a, const void *b)
{
	const struct owner *left = a, *right = b;
	int order = address_compare(&left->address, &right->address);

	return order ? order : (left->peer > right->peer) - (left->peer < right->peer);
}

/* Sorts what has been read; what has an ID that another one has is that one. */
static int sort_peers(struct peer_traffic *read)
{
	uint32_t *places = calloc(read->n + 1, sizeof(*places));
	size_t n = 0;

	if (!places)
		return -ENOMEM;
	/* Where each has been, in a member that is not needed yet. */
	for (size_t i = 0; i < read->n; i++)
		read->peers[i].score = i;
	if (read->n)
		qsort(read->peers, read->n, sizeof(struct peer), compare_ids);
	for (size_t i = 0; i < read->n; i++) {
		struct peer *peer = &read->peers[i];
		bool again = n > 0 && strcmp(read->peers[n - 1].id, peer->id) == 0;

		places[peer->score] = (uint32_t)(again ? n - 1 : n);
		peer->score = 0;
		if (again) {
			free(peer->id);
			free(peer->label);
		} else {
			read->peers[n++] = *peer;
		}
	}
	read->n = n;
	for (size_t i = 0; i < read->n_owners; i++)
		read->owners[i].peer = places[read->owners[i].peer];
	free(places);
	if (read->n_owners)
		qsort(read->owners, read->n_owners, sizeof(struct owner), compare_owners);
	return make_labels_differ(read);
}

static void add_all(struct counts *sum, const struct counts counts[PEER_PATHS])
{
	for (size_t path = 0; path < PEER_PATHS; path++)
		counts_add(sum, &counts[path]);
}

static int compare_gone(const void *a, const void *b)
{
	return strcmp(((const struct peer *)a)->label, ((const struct peer *)b)->label);
}

static struct peer *find_gone(const struct peer_traffic *traffic, const char *label)
{
	const struct peer key = {.label = (char *)label};

	return traffic->n_gone ? bsearch(&key, traffic->gone, traffic->n_gone, sizeof(key), compare_gone)
			       : NULL;
}

/* Of these the counters are not shown any more. */
static void forget_gone(struct peer_traffic *traffic)
{
	size_t kept = 0;

	for (size_t i = 0; i < traffic->n_gone; i++) {
		struct peer *peer = &traffic->gone[i];

		if (peer->shown) {
			traffic->gone[kept++] = *peer;
			continue;
		}
		add_all(&traffic->forgotten, peer->counts);
		free(peer->id);
		free(peer->label);
	}
	traffic->n_gone = kept;
}

/* It is there again before its counters have gone, and so they go on. */
static void come_back(struct peer_traffic *traffic, struct peer *peer)
{
	struct peer *gone = find_gone(traffic, peer->label);

	if (!gone || strcmp(gone->id, peer->id) != 0)
		return;
	memcpy(peer->recent, gone->recent, sizeof(peer->recent));
	memcpy(peer->counts, gone->counts, sizeof(peer->counts));
	peer->shown = peer->counts_itself = true;
	memset(gone->counts, 0, sizeof(gone->counts));
	gone->shown = false;
}

/* Its counters stay for those who have not read them yet. */
static void leave(struct peer_traffic *traffic, struct peer *peer)
{
	struct peer *gone =
		peer->shown ? reallocarray(traffic->gone, traffic->n_gone + 1, sizeof(*gone)) : NULL;

	if (!gone) {
		add_all(&traffic->forgotten, peer->counts);
		return;
	}
	traffic->gone = gone;
	gone[traffic->n_gone] = *peer;
	gone[traffic->n_gone++].waited = false;
	peer->id = peer->label = NULL;
}

/* Who is in both lists keeps what has been counted. Under another name it begins anew: that may have been
 * another one's, or its own before. */
static void keep(struct peer_traffic *traffic, const struct peer_traffic *read)
{
	for (size_t i = 0; i < read->n; i++) {
		struct peer *peer = &read->peers[i], *old = find_peer(traffic, peer->id);

		if (!old || strcmp(peer->label, old->label) != 0) {
			come_back(traffic, peer);
			continue;
		}
		memcpy(peer->counts, old->counts, sizeof(peer->counts));
		peer->shown = old->shown;
		peer->counts_itself = old->counts_itself;
	}
	for (size_t i = 0; i < traffic->n; i++) {
		struct peer *old = &traffic->peers[i], *peer = find_peer(read, old->id);

		if (peer)
			memcpy(peer->recent, old->recent, sizeof(peer->recent));
	}
}

/* The new list in place of the old one. */
static void take_over(struct peer_traffic *traffic, struct peer_traffic *read)
{
	keep(traffic, read);
	for (size_t i = 0; i < traffic->n; i++) {
		const struct peer *peer = find_peer(read, traffic->peers[i].id);

		if (!peer || strcmp(peer->label, traffic->peers[i].label) != 0)
			leave(traffic, &traffic->peers[i]);
	}
	forget_gone(traffic);
	if (traffic->n_gone)
		qsort(traffic->gone, traffic->n_gone, sizeof(struct peer), compare_gone);
	free_peers(traffic->peers, traffic->n);
	free(traffic->owners);
	traffic->peers = TAKE_PTR(read->peers);
	traffic->n = read->n;
	traffic->owners = TAKE_PTR(read->owners);
	traffic->n_owners = read->n_owners;
	for (size_t path = 0; path < PEER_PATHS; path++)
		traffic->has[path] |= read->has[path];
}

static int read_peers(struct peer_traffic *traffic, struct device *device, const struct nodes *nodes)
{
	struct peer_traffic read = {};
	struct reading reading = {.traffic = &read, .nodes = nodes};
	int r;

	device->ops->foreach_peer(device, read_peer, &reading);
	r = reading.error < 0 ? reading.error : sort_peers(&read);
	if (r == 0)
		take_over(traffic, &read);
	else
		free_peers(read.peers, read.n);
	free(read.owners);
	return r;
}

/* The same peers as before; nearly always in the same order. */
struct update {
	struct peer_traffic *traffic;
	size_t known;
};

static void update(const struct device_peer *from, void *userdata)
{
	struct update *state = userdata;
	struct peer *peer = from->self ? NULL : find_peer(state->traffic, from->id);

	if (!peer)
		return;
	update_peer(state->traffic, peer, from);
	state->known++;
}

void peer_traffic_follow(struct peer_traffic *traffic, struct device *device, const struct nodes *nodes)
{
	struct update state = {.traffic = traffic};
	bool same;

	if (!device || !device->ops->foreach_peer) {
		traffic->device = NULL;
		return;
	}
	same = device == traffic->device && nodes == traffic->nodes && device->ops->identities &&
	       device->ops->identities(device) == traffic->identities;
	if (same)
		device->ops->foreach_peer(device, update, &state);
	if (same && state.known == traffic->n)
		return;
	traffic->device = NULL;
	if (read_peers(traffic, device, nodes) < 0)
		return;
	traffic->device = device;
	traffic->nodes = nodes;
	traffic->identities = device->ops->identities ? device->ops->identities(device) : 0;
}

/* The one that it is told to have, as in GetPeers. */
static enum device_path shown_path(const struct peer *peer)
{
	return peer->reached ? peer->path : DEVICE_PATH_UNKNOWN;
}

/* --- traffic --- */

static struct peer *find_owner(const struct peer_traffic *traffic, const struct address *address)
{
	size_t low = 0, high = traffic->n_owners;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (address_compare(&traffic->owners[middle].address, address) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == traffic->n_owners || address_compare(&traffic->owners[low].address, address) != 0)
		return NULL;
	/* What may be of one as well as of another is the rest's. */
	if (low + 1 < traffic->n_owners && traffic->owners[low + 1].peer != traffic->owners[low].peer &&
	    address_compare(&traffic->owners[low + 1].address, address) == 0)
		return NULL;
	return &traffic->peers[traffic->owners[low].peer];
}

void peer_traffic_add(struct peer_traffic *traffic, const struct address *source, const struct counts *counts)
{
	struct peer *peer = find_owner(traffic, source);
	uint64_t *recent;

	if (!peer) {
		counts_add(&traffic->other[DEVICE_PATH_UNKNOWN], counts);
		return;
	}
	traffic->has[peer->path] = true;
	counts_add(peer->counts_itself && traffic->counting[peer->path] ? &peer->counts[peer->path]
									: &traffic->other[peer->path],
		   counts);
	recent = &peer->recent[traffic->step % STEPS];
	*recent = MIN(*recent, COUNT_MAX) + MIN(counts->tx_bytes, COUNT_MAX / 2) +
		  MIN(counts->rx_bytes, COUNT_MAX / 2);
}

/* Makes room for the present step in the ring. */
static void move_steps(struct peer_traffic *traffic, int64_t now_boot)
{
	int64_t step = now_boot / STEP;

	for (int64_t i = MAX(traffic->step + 1, step - STEPS + 1); i <= step; i++)
		for (size_t peer = 0; peer < traffic->n; peer++)
			traffic->peers[peer].recent[i % STEPS] = 0;
	traffic->step = MAX(step, traffic->step);
}

/* By traffic; of equals, who is shown already comes first. */
static int compare_ranks(const void *a, const void *b)
{
	const struct peer *left = *(struct peer *const *)a, *right = *(struct peer *const *)b;

	if (left->score != right->score)
		return left->score > right->score ? -1 : 1;
	if (left->shown != right->shown)
		return left->shown ? -1 : 1;
	return strcmp(left->id, right->id);
}

/* One step towards what is wanted: shown and counting, or neither. */
static void move_towards(struct peer *peer, bool wanted, bool at_once)
{
	if (wanted) {
		peer->counts_itself = peer->shown || at_once;
		peer->shown = true;
	} else {
		peer->shown = peer->counts_itself;
		peer->counts_itself = false;
	}
}

/* Likewise for paths, and for peers that are gone. */
static void begin_turn(struct peer_traffic *traffic, bool at_once)
{
	for (size_t path = 0; path < PEER_PATHS; path++) {
		traffic->counting[path] = traffic->shown[path] || (at_once && traffic->has[path]);
		traffic->shown[path] = traffic->has[path];
	}
	for (size_t i = 0; i < traffic->n_gone; i++) {
		traffic->gone[i].shown = !traffic->gone[i].waited;
		traffic->gone[i].waited = true;
	}
	forget_gone(traffic);
}

static int rank(struct peer_traffic *traffic, bool at_once)
{
	struct peer **order = calloc(traffic->n + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	begin_turn(traffic, at_once);
	for (size_t i = 0; i < traffic->n; i++) {
		struct peer *peer = &traffic->peers[i];

		order[i] = peer;
		peer->score = 0;
		for (size_t step = 0; step < STEPS; step++)
			peer->score = MIN(peer->score + MIN(peer->recent[step], COUNT_MAX), COUNT_MAX);
	}
	if (traffic->n > traffic->max)
		qsort(order, traffic->n, sizeof(struct peer *), compare_ranks);
	for (size_t i = 0; i < traffic->n; i++)
		move_towards(order[i], i < traffic->max && !find_gone(traffic, order[i]->label), at_once);
	free(order);
	return 0;
}

void peer_traffic_end_window(struct peer_traffic *traffic, int64_t now_boot)
{
	bool at_once = !traffic->begun;
	size_t n = traffic->n + traffic->n_gone;

	traffic->begun = true;
	move_steps(traffic, now_boot);
	if (traffic->ranked && now_boot - traffic->ranked_at < SHOW_AFTER)
		return;
	/* The first peers need not wait for a turn. */
	traffic->ranked = rank(traffic, at_once) == 0 && n > 0;
	traffic->ranked_at = now_boot;
}

struct peer_numbers peer_traffic_numbers(const struct peer_traffic *traffic, const struct peer_memory *memory)
{
	struct peer_numbers numbers = {};

	for (size_t i = 0; i < traffic->n; i++) {
		const struct peer *peer = &traffic->peers[i];
		const struct peer_record *record = peer_memory_find(memory, peer->id);

		(record && record->active ? numbers.active : numbers.silent)[shown_path(peer)]++;
	}
	return numbers;
}

/* --- samples --- */

static void sample_peer(const struct peer_traffic *traffic, const struct peer *peer,
			struct peer_sample *ret_sample)
{
	struct peer_sample *sample = ret_sample;

	snprintf(sample->label, sizeof(sample->label), "%s", peer->label);
	if (peer->reached)
		memcpy(sample->via, peer->via, sizeof(sample->via));
	memcpy(sample->counts, peer->counts, sizeof(sample->counts));
	sample->path = shown_path(peer);
	sample->last_handshake = peer->last_handshake;
	/* Where the peer may be next is shown before it is there. */
	memcpy(sample->has, traffic->shown, sizeof(sample->has));
}

struct peer_samples *peer_traffic_sample(const struct peer_traffic *traffic)
{
	struct peer_samples *samples;
	size_t n = traffic->n_gone;

	if (traffic->max == 0)
		return NULL;
	for (size_t i = 0; i < traffic->n; i++)
		n += traffic->peers[i].shown;
	samples = calloc(1, sizeof(*samples) + n * sizeof(samples->items[0]));
	if (!samples)
		return NULL;
	samples->references = 1;
	memcpy(samples->other, traffic->other, sizeof(samples->other));
	samples->withdrawn = traffic->forgotten;
	for (size_t i = 0; i < traffic->n; i++) {
		const struct peer *peer = &traffic->peers[i];

		if (peer->shown)
			sample_peer(traffic, peer, &samples->items[samples->n++]);
		else
			add_all(&samples->withdrawn, peer->counts);
	}
	for (size_t i = 0; i < traffic->n_gone; i++) {
		sample_peer(traffic, &traffic->gone[i], &samples->items[samples->n]);
		samples->items[samples->n++].gone = true;
	}
	return samples;
}

struct peer_samples *peer_samples_ref(struct peer_samples *samples)
{
	if (samples)
		__atomic_add_fetch(&samples->references, 1, __ATOMIC_RELAXED);
	return samples;
}

void peer_samples_unref(struct peer_samples *samples)
{
	if (samples && __atomic_sub_fetch(&samples->references, 1, __ATOMIC_ACQ_REL) == 0)
		free(samples);
}
