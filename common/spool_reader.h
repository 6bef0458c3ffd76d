#pragma once

/*
 * Reading a spool: message by message, in order, from a sequence on, while it grows. Steps over damaged
 * frames and removed segments and says exactly what was missed. Never writes; needs no daemon.
 */

#include "common/log_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_reader;

struct spool_message {
	uint64_t sequence;
	int64_t time;	  /* client_time, wall, ns */
	const char *data; /* one line of JSON, no newline; valid until the next call */
	size_t length;
	struct log_id public_id; /* zeros: the node's configured one */
};

/* What is missing between the last message and this one. */
struct spool_gap {
	uint64_t messages;
	uint64_t bytes;
	int64_t from, to; /* wall times of the first and last missing message, as exactly as known */
	bool damaged;	  /* a damaged frame, not a removed segment */
};

enum {
	SPOOL_READ_MESSAGE = 1,
	SPOOL_READ_END = 0,	  /* nothing more yet */
	SPOOL_READ_GAP = 2,	  /* messages are missing here; go on reading */
	SPOOL_READ_NEW_SPOOL = 3, /* the spool was made anew: sequences begin again */
};

/* 0; -ENOENT, -EACCES and others; -EPROTONOSUPPORT for a newer format. The directory descriptor is not taken
 * (a copy is). */
int spool_reader_new(int directory_fd, struct spool_reader **ret_reader);
void spool_reader_free(struct spool_reader *reader);
/* Goes to the first message with at least this sequence (0: the oldest). 0 or -errno. */
int spool_reader_seek(struct spool_reader *reader, uint64_t sequence);
/* One of SPOOL_READ_*, or -errno. */
int spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
		      struct spool_gap *ret_gap);
/* Text of 32 hex digits; "" for an empty spool. */
const char *spool_reader_id(const struct spool_reader *reader);
/* Messages and bytes from a sequence to the end as it is on disk now, and the time of the first. */
int spool_reader_backlog(struct spool_reader *reader, uint64_t sequence, uint64_t *ret_messages,
			 uint64_t *ret_bytes, int64_t *ret_oldest);
