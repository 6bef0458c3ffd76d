/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The memory of live connections: what one window's details need to know of those before it. With it, a SYN
 * that is sent again begins nothing, the second FIN ends nothing, who opened a connection is known as long as
 * it lives, and what is not TCP begins after a minute of silence. It is bounded; what it has to forget too
 * early is counted.
 */

#include "common/cleanup.h"
#include "daemon/record/entries.h"

struct live;

/* For so many connections, at most 26 bytes for each; memory grows with what is in it. 0 or
 * -errno (-ENOMEM; or there are no random numbers). */
int live_new(size_t capacity, struct live **ret_live);
void live_free(struct live *live);
DEFINE_CLEANUP(struct live *, live_free);
/* Room for more or fewer connections. Without memory it stays as it is. */
void live_set_capacity(struct live *live, size_t capacity);

/* Times are of the boot clock, ns. */
/* Counting begins: nothing is known of what came before. */
void live_begin(struct live *live, int64_t now);
/* Packets may have gone uncounted until now: what was silent may have spoken. */
void live_miss(struct live *live, int64_t now);
/* Connections that are not followed, since nothing is logged of them alone, may have spoken until now. */
void live_hide(struct live *live, int64_t now);
/* Some of these may be followed from now on. */
void live_show(struct live *live);
/* The entries that follow are those of this window. */
void live_begin_window(struct live *live, int64_t start, int64_t end);

/* The hash of a connection, whatever its class, for live_follow(). Begins to fetch its memory. */
uint64_t live_hash(const struct live *live, const struct entry_key *key);
/*
 * Corrects the details of an entry by what is remembered of its connection, and remembers it. Each entry of a
 * window once.
 */
void live_follow(struct live *live, uint64_t hash, struct entry *entry);

struct live_status {
	size_t connections; /* remembered */
	size_t capacity;
	uint64_t forgotten; /* had to make room before their time */
	size_t memory;	    /* bytes */
};

struct live_status live_get_status(const struct live *live);
