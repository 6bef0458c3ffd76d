/* SPDX-License-Identifier: BSD-3-Clause */
/* Records lie in an array with an index by id. Those of peers that have gone stay until midnight, since a
 * device that is made again has the same peers. */

#include "daemon/logger/peer_memory.h"

#include "common/hash_index.h"
#include "common/time_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct peer_memory {
	struct peer_record *records;
	size_t n, allocated;
	struct hash_index by_id;
	uint32_t seed;

	uint32_t reading;	    /* its number, from 1 */
	uint32_t made_room;	    /* the last one that forgot peers for lack of room */
	bool from_zero;		    /* unknown peers have come since the reading before */
	int64_t wall, boot;	    /* of the last reading */
	int64_t boot_before;	    /* of the one before, if there were peers; else 0 */
	int64_t day_start, day_end; /* local midnights, wall ns */
	struct peer_memory_status status;
};

/* FNV-1a from a random start: ids come from the network's administration, but not from anybody. */
static uint32_t hash(const struct peer_memory *memory, const char *id)
{
	uint32_t value = memory->seed;

	for (; *id; id++)
		value = (value ^ (uint8_t)*id) * UINT32_C(16777619);
	return value;
}

static bool has_id(const void *owner, size_t item, const void *key)
{
	const struct peer_memory *memory = owner;

	return strcmp(memory->records[item].id, key) == 0;
}

static void record_deinit(struct peer_record *record)
{
	free(record->id);
	free(record->via);
	free(record->from_via);
}

int peer_memory_new(struct peer_memory **ret_memory)
{
	_cleanup_(peer_memory_freep) struct peer_memory *memory = calloc(1, sizeof(*memory));

	if (!memory || hash_index_reserve(&memory->by_id, 0) < 0)
		return -ENOMEM;
	if (getrandom(&memory->seed, sizeof(memory->seed), GRND_NONBLOCK) < 0)
		memory->seed = UINT32_C(2166136261);
	*ret_memory = TAKE_PTR(memory);
	return 0;
}

void peer_memory_free(struct peer_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < memory->n; i++)
		record_deinit(&memory->records[i]);
	free(memory->records);
	hash_index_deinit(&memory->by_id);
	free(memory);
}

/* Drops the records of peers that have gone. */
static void forget_gone(struct peer_memory *memory, uint32_t reading)
{
	size_t kept = 0;

	for (size_t i = 0; i < memory->n; i++) {
		if (memory->records[i].reading >= reading)
			memory->records[kept++] = memory->records[i];
		else
			record_deinit(&memory->records[i]);
	}
	if (kept == memory->n)
		return;
	memory->n = kept;
	hash_index_clear(&memory->by_id, kept);
	/* There is room: it had more before. */
	for (size_t i = 0; i < kept; i++) {
		uint32_t value = hash(memory, memory->records[i].id);

		hash_slot_take(hash_index_find(&memory->by_id, value, has_id, memory, memory->records[i].id),
			       value, i);
	}
}

/* Local midnights around a time. The day has 23 or 25 hours when the clocks change; where that is done at
 * midnight, there may be two of it, and the day begins with the first. */
static void find_day(int64_t wall, int64_t *ret_start, int64_t *ret_end)
{
	time_t seconds = (time_t)(wall / NSEC_PER_SEC), start, end;
	int summer_time;
	struct tm day;

	tzset();
	if (!localtime_r(&seconds, &day)) {
		*ret_start = wall;
		*ret_end = INT64_MAX;
		return;
	}
	summer_time = day.tm_isdst;
	day.tm_hour = day.tm_min = day.tm_sec = 0;
	day.tm_isdst = -1;
	start = mktime(&day);
	if (start > seconds) {
		day.tm_isdst = summer_time;
		start = mktime(&day);
	}
	day.tm_mday++;
	day.tm_hour = day.tm_min = day.tm_sec = 0;
	day.tm_isdst = -1;
	end = mktime(&day);
	*ret_start = (int64_t)start * NSEC_PER_SEC;
	*ret_end = (int64_t)end * NSEC_PER_SEC;
}

/* Another day begins, also when the clock is set back to an earlier one. */
static void follow_day(struct peer_memory *memory, int64_t wall)
{
	if (wall >= memory->day_start && wall < memory->day_end)
		return;
	find_day(wall, &memory->day_start, &memory->day_end);
	forget_gone(memory, memory->reading);
	for (size_t i = 0; i < memory->n; i++) {
		memory->records[i].tx_today = memory->records[i].rx_today = 0;
		memory->records[i].today_since = memory->day_start;
	}
}

static struct peer_record *find(const struct peer_memory *memory, const char *id)
{
	const struct hash_slot *slot = hash_index_find(&memory->by_id, hash(memory, id), has_id, memory, id);

	return slot->item ? &memory->records[slot->item - 1] : NULL;
}

/* A new record, with only an id; NULL: no room, or no memory. */
static struct peer_record *add(struct peer_memory *memory, const char *id)
{
	_cleanup_free_ char *copy = strdup(id);
	uint32_t value = hash(memory, id);
	struct peer_record *record;

	if (memory->n == PEER_MEMORY_MAX && memory->made_room != memory->reading) {
		memory->made_room = memory->reading;
		forget_gone(memory, memory->reading - 1);
	}
	if (!copy || memory->n == PEER_MEMORY_MAX || hash_index_reserve(&memory->by_id, memory->n + 1) < 0)
		return NULL;
	if (memory->n == memory->allocated) {
		size_t more = memory->allocated ? memory->allocated * 2 : 16;

		record = reallocarray(memory->records, more, sizeof(*record));
		if (!record)
			return NULL;
		memory->records = record;
		memory->allocated = more;
	}
	hash_slot_take(hash_index_find(&memory->by_id, value, has_id, memory, id), value, memory->n);
	record = &memory->records[memory->n++];
	*record = (struct peer_record){.id = TAKE_PTR(copy)};
	return record;
}

/* Both counters of a peer that was removed and added again began at zero; it has forgotten its handshake. */
static bool is_another(const struct peer_record *record, const struct device_peer *peer)
{
	return peer->tx_bytes < record->tx_bytes || peer->rx_bytes < record->rx_bytes ||
	       (record->last_handshake && !peer->last_handshake);
}

static void count(const struct peer_memory *memory, struct peer_record *record,
		  const struct device_peer *peer, bool is_new)
{
	uint64_t tx = record->tx_bytes, rx = record->rx_bytes;

	if (is_new)
		record->today_since = memory->wall;
	if (is_new && !memory->from_zero) {
		tx = peer->tx_bytes;
		rx = peer->rx_bytes;
	} else if (is_new || is_another(record, peer)) {
		tx = rx = 0;
	}
	/* While it was away nothing can be told from its rate. */
	record->moved_in = !is_new && record->reading + 1 != memory->reading ? 0
			   : memory->boot_before > 0 ? memory->boot - memory->boot_before
						     : 0;
	record->tx_moved = peer->tx_bytes - tx;
	record->rx_moved = peer->rx_bytes - rx;
	record->tx_today += record->tx_moved;
	record->rx_today += record->rx_moved;
	record->tx_bytes = peer->tx_bytes;
	record->rx_bytes = peer->rx_bytes;
	record->last_handshake = peer->last_handshake;
}

/* By the boot clock, since the wall clock may step; only what the tunnel tells is by the wall clock. */
static void look_for_signs(const struct peer_memory *memory, struct peer_record *record,
			   const struct device_peer *peer, bool is_new)
{
	int64_t told = MAX(peer->last_seen, is_new ? peer->last_handshake : 0);

	if (record->rx_moved > 0) {
		record->last_seen = memory->wall;
		record->seen_boot = memory->boot;
	} else if (told > record->last_seen) {
		record->last_seen = told;
		record->seen_boot = memory->boot - MAX(memory->wall - told, 0);
	}
	record->active = record->last_seen && memory->boot - record->seen_boot < PEER_SILENT_AFTER;
}

static bool is_known_place(enum device_path path, const struct endpoint *endpoint)
{
	return path != DEVICE_PATH_UNKNOWN || endpoint->address.family;
}

static bool equal_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A place that is not known any more is no other place. */
static void look_for_moves(const struct peer_memory *memory, struct peer_record *record,
			   const struct device_peer *peer)
{
	if (!is_known_place(peer->path, &peer->endpoint))
		return;
	if (peer->path == record->path && peer->region == record->region &&
	    endpoint_compare(&peer->endpoint, &record->endpoint) == 0 && equal_texts(peer->via, record->via))
		return;
	if (is_known_place(record->path, &record->endpoint)) {
		free(record->from_via);
		record->from_via = TAKE_PTR(record->via);
		record->from_path = record->path;
		record->from_endpoint = record->endpoint;
		record->moved_at = memory->wall;
	}
	free(record->via);
	record->via = peer->via ? strdup(peer->via) : NULL;
	record->path = peer->path;
	record->endpoint = peer->endpoint;
	record->region = peer->region;
}

static void note(const struct device_peer *peer, void *userdata)
{
	struct peer_memory *memory = userdata;
	struct peer_record *record;
	bool is_new;

	if (peer->self)
		return;
	record = find(memory, peer->id);
	is_new = !record;
	if (is_new)
		record = add(memory, peer->id);
	if (!record) {
		memory->status.forgotten++;
		return;
	}
	if (record->reading == memory->reading)
		return; /* one id twice: the first one counts */
	count(memory, record, peer, is_new);
	look_for_signs(memory, record, peer, is_new);
	look_for_moves(memory, record, peer);
	record->reading = memory->reading;
	memory->status.peers++;
	memory->status.active += record->active;
}

void peer_memory_read(struct peer_memory *memory, struct device *device, int64_t wall, int64_t boot)
{
	memory->from_zero = memory->boot > 0;
	memory->boot_before = memory->boot;
	memory->wall = wall;
	memory->boot = boot;
	follow_day(memory, wall);
	memory->reading++;
	memory->status = (struct peer_memory_status){};
	if (device && device->ops->foreach_peer)
		device->ops->foreach_peer(device, note, memory);
	else
		memory->boot = 0;
}

const struct peer_record *peer_memory_find(const struct peer_memory *memory, const char *id)
{
	const struct peer_record *record = find(memory, id);

	return record && record->reading == memory->reading ? record : NULL;
}

struct peer_memory_status peer_memory_get_status(const struct peer_memory *memory)
{
	return memory->status;
}
