/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Of each node only hashes are kept, of what was written for it last: the fields that make up its identity,
 * and those that move. tailscaled writes nodes in the order of their keys, so the next answer mostly has the
 * same ones in the same places; an index finds the others.
 */

#include "daemon/tailscale/status.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/hash_bytes.h"
#include "common/hash_index.h"
#include "daemon/tailscale/derp_map.h"
#include "daemon/tailscale/form.h"
#include "daemon/tailscale/status_line.h"
#include "daemon/tailscale/status_scan.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define SELF (TAILSCALE_SLOTS_MAX - 1)

struct known {
	char *key; /* owned; NULL: the slot is free */
	uint64_t fixed, moving;
	uint64_t reading; /* in which it was seen last */
	bool written;
};

struct status {
	struct status_scan scan;
	struct known *known; /* by slot */
	size_t n_known, allocated;
	struct hash_index index; /* of keys */
	uint32_t *slots;	 /* of the peers of the answer */
	size_t n_slots;
	struct known self;
	uint64_t reading, users;
	bool users_changed, incremental;
};

int status_new(struct status **ret_status)
{
	struct status *status = calloc(1, sizeof(*status));

	if (!status)
		return -ENOMEM;
	*ret_status = status;
	return 0;
}

void status_free(struct status *status)
{
	if (!status)
		return;
	for (size_t i = 0; i < status->n_known; i++)
		free(status->known[i].key);
	free(status->known);
	free(status->slots);
	hash_index_deinit(&status->index);
	status_scan_deinit(&status->scan);
	free(status);
}

int status_read(struct status *status, const char *text, size_t size)
{
	return status_scan(text, size, &status->scan);
}

/* ---- slots ----------------------------------------------------------------------------------------- */

static bool key_is(const struct known *known, const struct json_slice *key)
{
	return known->key && strncmp(known->key, key->data, key->length) == 0 && !known->key[key->length];
}

static bool index_equal(const void *owner, size_t item, const void *key)
{
	return key_is(&((const struct known *)owner)[item], key);
}

static uint32_t key_hash(const char *key, size_t length)
{
	return (uint32_t)hash_bytes(0, key, length);
}

/* Slots are never given to another node key while the helper runs, except when there are too many. */
static int add_known(struct status *status, const struct json_slice *key, uint32_t hash,
		     struct hash_slot *place)
{
	struct known *known;

	if (status->n_known == status->allocated) {
		size_t n = MAX(status->allocated * 2, (size_t)64);

		known = reallocarray(status->known, n, sizeof(*known));
		if (!known)
			return -ENOMEM;
		status->known = known;
		status->allocated = n;
	}
	known = &status->known[status->n_known];
	*known = (struct known){.key = strndup(key->data, key->length)};
	if (!known->key)
		return -ENOMEM;
	hash_slot_take(place, hash, status->n_known++);
	return 0;
}

/* The slot of a key. */
static int find_slot(struct status *status, const struct json_slice *key, uint32_t *ret_slot)
{
	uint32_t hash = key_hash(key->data, key->length);
	struct hash_slot *place;
	int r = hash_index_reserve(&status->index, status->n_known + 1);

	if (r < 0)
		return r;
	place = hash_index_find(&status->index, hash, index_equal, status->known, key);
	if (!place->item) {
		r = add_known(status, key, hash, place);
		if (r < 0)
			return r;
	}
	*ret_slot = place->item - 1;
	return 0;
}

/* Of every peer of the answer. Those of the last answer are tried first. */
static int find_slots(struct status *status)
{
	size_t n = status->scan.n_peers;
	uint32_t *slots = reallocarray(NULL, n + 1, sizeof(*slots));
	int r = slots ? 0 : -ENOMEM;

	for (size_t i = 0, before = 0; r == 0 && i < n; i++) {
		const struct json_slice *key = &status->scan.peers[i].key;

		if (before < status->n_slots && key_is(&status->known[status->slots[before]], key)) {
			slots[i] = status->slots[before++];
			continue;
		}
		r = find_slot(status, key, &slots[i]);
		/* One was added, or one has gone: either way, the rest is in step again. */
		while (r == 0 && before < status->n_slots &&
		       strncmp(status->known[status->slots[before]].key, key->data, key->length) < 0)
			before++;
		if (r == 0 && before < status->n_slots && status->slots[before] == slots[i])
			before++;
	}
	if (r < 0) {
		free(slots);
		return r;
	}
	free(status->slots);
	status->slots = slots;
	status->n_slots = n;
	return 0;
}

/* ---- what has changed ------------------------------------------------------------------------------ */

bool status_needs_regions(const struct status *status, const struct derp_map *derp)
{
	char code[32];

	for (size_t i = 0; i < status->scan.n_peers; i++)
		if (*status_line_region(&status->scan.peers[i], code) && !derp_map_find(derp, code))
			return true;
	return false;
}

void status_forget_regions(struct status *status)
{
	for (size_t i = 0; i < status->n_known; i++)
		status->known[i].moving = 0;
}

void status_forget_all(struct status *status)
{
	status->incremental = false;
}

bool status_is_whole(const struct status *status)
{
	return !status->incremental;
}

/* The profiles of users, if one of them may be needed. */
static json_t *decode_users(struct status *status)
{
	const struct json_slice *text = &status->scan.users;
	uint64_t hash = hash_bytes(0, text->data, text->length);

	status->users_changed = hash != status->users;
	status->users = hash;
	return text->length > 0 ? json_loadb(text->data, text->length, 0, NULL) : NULL;
}

static void write_node(struct status *status, struct buffer *lines, uint32_t slot, struct known *known,
		       const struct status_peer *peer, const json_t *users)
{
	bool self = known == &status->self;

	if (!status->incremental || !known->written || known->fixed != peer->fixed || status->users_changed)
		status_line_node(lines, slot, peer, self, users);
	known->fixed = peer->fixed;
}

/* Slots that had a peer before and have none now. */
static void write_gone(struct status *status, struct buffer *lines)
{
	for (size_t i = 0; i < status->n_known; i++) {
		struct known *known = &status->known[i];

		if (known->written && known->reading != status->reading) {
			known->written = false;
			if (status->incremental)
				buffer_printf(lines, "{\"gone\":%zu}\n", i);
		}
	}
}

/* Those of peers that are long gone are given up, and with them the numbers of all. */
static void renumber(struct status *status)
{
	if (status->n_known < 2 * (size_t)TAILSCALE_PEERS_MAX)
		return;
	for (size_t i = 0; i < status->n_known; i++)
		free(status->known[i].key);
	status->n_known = status->n_slots = 0;
	hash_index_clear(&status->index, 0);
	status->incremental = false;
}

int status_write(struct status *status, const struct derp_map *derp, struct buffer *lines)
{
	json_t *users;
	int r;

	renumber(status);
	r = find_slots(status);
	if (r < 0)
		return r;
	users = decode_users(status);
	status->reading++;
	if (status->scan.has_self)
		write_node(status, lines, SELF, &status->self, &status->scan.self, users);
	else if (status->self.written && status->incremental)
		buffer_printf(lines, "{\"gone\":%u}\n", SELF);
	status->self.written = status->scan.has_self;
	for (size_t i = 0; i < status->scan.n_peers; i++) {
		const struct status_peer *peer = &status->scan.peers[i];
		struct known *known = &status->known[status->slots[i]];

		/* A key that comes twice. */
		if (known->reading == status->reading)
			continue;
		write_node(status, lines, status->slots[i], known, peer, users);
		if (!status->incremental || !known->written || known->moving != peer->moving)
			status_line_counts(lines, status->slots[i], peer, derp);
		known->moving = peer->moving;
		known->reading = status->reading;
		known->written = true;
	}
	write_gone(status, lines);
	json_decref(users);
	r = buffer_error(lines);
	status->incremental = r == 0;
	return r;
}

void status_write_summary(const struct status *status, struct buffer *line)
{
	char text[TAILSCALE_TEXT_MAX + 1];

	if (status_line_text(&status->scan.backend_state, text, sizeof(text)) == 0) {
		buffer_append_text(line, ",\"state\":");
		buffer_append_json_string(line, text);
	}
	if (status_line_text(&status->scan.version, text, sizeof(text)) == 0) {
		buffer_append_text(line, ",\"version\":");
		buffer_append_json_string(line, text);
	}
	buffer_printf(line, ",\"skipped\":%llu", (unsigned long long)status->scan.skipped);
}
