/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reading a spool: message by message, in order, from a position on, while it grows. Steps over damaged
 * frames and removed segments and says exactly what was missed. Never writes; needs no daemon.
 */

#include "common/cleanup.h"
#include "common/log_id.h"
#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_reader;

struct spool_message {
	uint64_t sequence;
	int64_t time;	  /* client_time, wall, ns */
	const char *data; /* one line of JSON, no newline; valid until the next call */
	size_t length;
	struct log_id public_id;	/* zeros: the node's configured one */
	struct spool_position position; /* of whoever has got this message: what a cursor keeps */
};

/* What is missing between the last message and the next. */
struct spool_gap {
	uint64_t messages;
	uint64_t bytes;
	int64_t from, to; /* wall times between which they were made: of the message before (0: not known) and
			   * of the one after */
	bool damaged;	  /* damaged frames, not a removed segment */
	struct spool_position position; /* of whoever knows of this gap: go on from here after telling it */
};

enum {
	SPOOL_READ_MESSAGE = 1,
	SPOOL_READ_END = 0,	  /* nothing more yet */
	SPOOL_READ_GAP = 2,	  /* messages are missing here; go on reading */
	SPOOL_READ_NEW_SPOOL = 3, /* another spool id from here on; spool_reader_id() is the new one */
};

/* 0; -ENOENT, -EACCES and others; -EPROTONOSUPPORT for a newer format. The directory descriptor is not taken
 * (a copy is). */
int spool_reader_new(int directory_fd, struct spool_reader **ret_reader);
void spool_reader_free(struct spool_reader *reader);
DEFINE_CLEANUP(struct spool_reader *, spool_reader_free);
/*
 * How often in a row spool_reader_next() says -EIO before it takes what the disk does not give for damage,
 * and goes on behind it: 0 (as it begins) for those who read once, more for those who come again later.
 */
void spool_reader_set_patience(struct spool_reader *reader, unsigned int times);
/* Goes to the first message with at least this sequence (0: the oldest). What lies before is no gap. 0 or
 * -errno. */
int spool_reader_seek(struct spool_reader *reader, uint64_t sequence);
/*
 * Goes on after a position that a message, a gap or a cursor gave: messages that were removed since are told
 * as a gap. Zeros: the oldest message, no gap. A position in a spool that is not there any more: the oldest
 * message, after SPOOL_READ_NEW_SPOOL. 0 or -errno: then it stands where it stood.
 */
int spool_reader_seek_position(struct spool_reader *reader, const struct spool_position *position);
/*
 * One of SPOOL_READ_*, or -errno (-ENOMEM, -EIO and what else reading says, -EPROTONOSUPPORT). Only the
 * output that belongs to the result is written; both must be given. May be called again after an end or an
 * error.
 */
int spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
		      struct spool_gap *ret_gap);
/* Text of 32 hex digits; "" for an empty spool. */
const char *spool_reader_id(const struct spool_reader *reader);
/*
 * Messages and bytes from a sequence (0: all) to the end as it is on disk now, and the time of the first (0:
 * none). Reads no more than frame headers, and none twice while the sequence only grows. 0 or -errno.
 */
int spool_reader_backlog(struct spool_reader *reader, uint64_t sequence, uint64_t *ret_messages,
			 uint64_t *ret_bytes, int64_t *ret_oldest);
