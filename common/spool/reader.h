/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reads a spool message by message, in order, from a position on, while it grows. Skips damaged frames and
 * removed segments and reports exactly what is missing. Never writes; needs no daemon.
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
	struct spool_position position; /* after this message: what a cursor keeps */
};

/* What is missing between the last message and the next. */
struct spool_gap {
	uint64_t messages;
	uint64_t bytes;
	int64_t from, to; /* they were made between: times of the message before (0: unknown) and after */
	bool damaged;	  /* damaged frames, not a removed segment */
	struct spool_position position; /* after the gap: continue here once it is reported */
};

enum {
	SPOOL_READ_MESSAGE = 1,
	SPOOL_READ_END = 0,	  /* nothing more yet */
	SPOOL_READ_GAP = 2,	  /* messages are missing here; read on */
	SPOOL_READ_NEW_SPOOL = 3, /* another spool id from here on; spool_reader_id() is the new one */
};

/* 0; -ENOENT, -EACCES and others; -EPROTONOSUPPORT for a newer format. The caller keeps the directory
 * descriptor. */
int spool_reader_new(int directory_fd, struct spool_reader **ret_reader);
void spool_reader_free(struct spool_reader *reader);
DEFINE_CLEANUP(struct spool_reader *, spool_reader_free);
/*
 * How often in a row spool_reader_next() returns -EIO before it treats what the disk can't read as damage and
 * continues behind it: 0 (the default) for a caller that reads once, more for one that tries again later.
 */
void spool_reader_set_patience(struct spool_reader *reader, unsigned int times);
/* Moves to the first message with at least this sequence (0: the oldest). What lies before is not a gap. 0 or
 * -errno. */
int spool_reader_seek(struct spool_reader *reader, uint64_t sequence);
/*
 * Continues after the position of a message, a gap or a cursor: messages removed since are reported as a gap.
 * Zeros: the oldest message, without a gap. A position in a spool that no longer exists: the oldest message,
 * after SPOOL_READ_NEW_SPOOL. 0 or -errno; then the reader does not move.
 */
int spool_reader_seek_position(struct spool_reader *reader, const struct spool_position *position);
/*
 * One of SPOOL_READ_*, or -errno (-ENOMEM, -EPROTONOSUPPORT, -EIO and others of reading). Only the output
 * that belongs to the result is written; both must be given. May be called again after an end or an error.
 */
int spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
		      struct spool_gap *ret_gap);
/* Text of 32 hex digits; "" for an empty spool. */
const char *spool_reader_id(const struct spool_reader *reader);
/*
 * Messages and bytes from a sequence (0: all) to the present end on disk, and the time of the first (0:
 * none). Reads nothing twice while the sequence only grows. 0 or -errno.
 */
int spool_reader_backlog(struct spool_reader *reader, uint64_t sequence, uint64_t *ret_messages,
			 uint64_t *ret_bytes, int64_t *ret_oldest);
