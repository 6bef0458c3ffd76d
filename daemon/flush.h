/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Delivers what was logged so far, within a deadline: also what waits in memory, because a full disk has room
 * for it only once the sinks have what is in the spool.
 */

#include <stdint.h>

struct daemon;
struct flush;

/* What at least one sink has not got, in memory or in the spool. */
struct backlog {
	uint64_t messages, bytes;
};

typedef void (*flush_done)(const struct backlog *backlog, void *userdata);

/*
 * Calls back once, from the loop: when everything is delivered, or a little after deadline_ms with what is
 * not. The flush is its own owner until then, or until it is forgotten. 0, -EAGAIN with too many under way,
 * or -ENOMEM: then it is not called back.
 */
int flush_begin(struct daemon *daemon, int64_t deadline_ms, flush_done done, void *userdata,
		struct flush **ret_flush);
/* Delivers all the same, but calls back no more. NULL is fine. */
void flush_forget(struct flush *flush);
/* At the end: calls back all that wait, with what is known. */
void flush_end_all(struct daemon *daemon);
/* What is known now, without waiting. */
void flush_backlog(const struct daemon *daemon, struct backlog *ret_backlog);
