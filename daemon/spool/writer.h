/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Writes the spool: a thread that appends messages to segments, syncs them, keeps the cap, and removes what
 * every sink has. The caller hands over bytes and continues; the disk may be slow, full or broken without
 * blocking it.
 */

#include "common/log_id.h"
#include "daemon/spool/loss.h"
#include "daemon/spool/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_writer;

/* A copy of the writer's state, for status and metrics. */
struct spool_status {
	uint64_t messages; /* in the spool now */
	uint64_t bytes;	   /* on disk */
	uint64_t first_sequence, last_sequence;
	uint64_t synced_sequence;
	uint64_t written_messages, written_bytes; /* ever, since the spool was made: what positions count */
	uint64_t waiting_messages, waiting_bytes; /* in memory, while writes fail */
	uint64_t unwritten_messages, unwritten_bytes; /* in memory only, whether writes fail or not */
	uint64_t lost_messages, lost_bytes;	      /* before the spool */
	/* By the cap, delivered or not; readers see it as a gap. */
	uint64_t removed_messages, removed_bytes;
	uint64_t undelivered_messages, undelivered_bytes; /* of those: a sink did not have them */
	uint64_t vanished_segments, vanished_messages,
		vanished_bytes;	       /* of those: somebody else removed them */
	uint64_t vanished_undelivered; /* messages, of those: a sink did not have them */
	uint64_t damaged_frames;       /* or runs of them, found at start or when their segment is removed */
	int error;		       /* 0, or the -errno of the last failure while it lasts */
	int told_error;		       /* the same, without one that comes and goes: what the log tells */
	char spool_id[33];
	int64_t oldest; /* wall time of the oldest message; 0 none */
};

struct spool_writer_ops {
	/* Called on the writer's thread: messages up to this sequence are in the spool (written; synced under
	 * sync=always). Must not block. */
	void (*stored)(uint64_t sequence, void *userdata);
	/* Called on the writer's thread when the spool works again and messages were lost before it: to be
	 * reported by a text message. */
	void (*lost)(const struct spool_loss *loss, void *userdata);
	/* Called on the writer's thread when the status has another error, or more messages were removed that
	 * nobody asked to go: by the cap, or by somebody else. */
	void (*changed)(void *userdata);
};

/*
 * Opens (makes, recovers) the spool and starts the thread. 0; -EWOULDBLOCK when another process holds it;
 * -EPROTONOSUPPORT for a newer format, with advice in *ret_reason; -ENOMEM. A directory that can't be written
 * is not an error: the writer keeps trying.
 */
int spool_writer_new(const struct spool_writer_options *options, const struct spool_writer_ops *ops,
		     void *userdata, struct spool_writer **ret_writer, char **ret_reason);
/* Writes and syncs what waits, then ends the thread. */
void spool_writer_free(struct spool_writer *writer);
/* The same, and returns the losses that have not been reported. */
void spool_writer_close(struct spool_writer *writer, struct spool_loss *ret_loss);
/* Losses that an earlier run could not report: to be reported with this one's. */
void spool_writer_add_loss(struct spool_writer *writer, const struct spool_loss *loss);

/*
 * Takes a copy of one message; time is its client_time. Any thread but the loop's: when memory_max is reached
 * and the disk works, it waits for room (5 s at most; a disk that stalls longer counts as one that refuses).
 * 0; -EMSGSIZE for a message that is empty or that the spool can never hold, -ENOMEM, -ENOBUFS: then the
 * message is counted as lost.
 */
int spool_writer_append(struct spool_writer *writer, const char *message, size_t n, int64_t time);
/* Messages from now on belong to this public log ID (zeros: the node's configured one): begins a new segment
 * if it differs. */
void spool_writer_set_public_id(struct spool_writer *writer, const struct log_id *public_id);
/* Changed settings after a reload (not the directory). 0 or -ENOMEM. */
int spool_writer_reconfigure(struct spool_writer *writer, const struct spool_writer_options *options);
/* A cursor has moved: remove what may go, soon. Any thread. */
void spool_writer_prune(struct spool_writer *writer);
/* Waits until all that was appended before is written and synced: 0; -ETIMEDOUT; or -errno when the disk
 * refuses. */
int spool_writer_sync(struct spool_writer *writer, int timeout_ms);
/* What was appended so far, and whether that much is synced or dropped by now. Any thread. */
uint64_t spool_writer_ticket(struct spool_writer *writer);
bool spool_writer_is_settled(struct spool_writer *writer, uint64_t ticket);
/* A descriptor of the directory that is written to, wherever its path leads by now, owned by the caller; or
 * -errno. */
int spool_writer_open_directory(struct spool_writer *writer);
void spool_writer_get_status(struct spool_writer *writer, struct spool_status *ret_status);
/* The time of the last message that was in the spool when it was opened; 0 none. */
int64_t spool_writer_last_time(const struct spool_writer *writer);
