/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The writing side of the spool: a thread that appends messages to segments, syncs them, keeps the cap, and
 * removes what every sink has. Whoever appends hands over bytes and goes on; the disk may be slow, full or
 * broken without anybody waiting for it.
 */

#include "common/config/config.h"
#include "common/log_id.h"
#include "daemon/spool/loss.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool_files;
struct spool_writer;

struct spool_writer_options {
	const char *directory;
	uint64_t max_size;
	enum spool_sync sync;
	int64_t sync_interval;	      /* ns */
	int64_t retain;		      /* ns that delivered messages are kept */
	const char *upload_directory; /* where each sink's cursor is: <upload>/<sink>/ */
	char *const *sinks;	      /* names, NULL-terminated or NULL */
	uint64_t memory_max;	      /* bytes that wait while the disk refuses; 0: 16 MiB */
	mode_t file_mode;	      /* 0600 by hand, 0640 with a shared group */

	/* Defaults for tests to change; zeros: as it runs. */
	uint64_t segment_size;		 /* 16 MiB; never more than an eighth of what the cap leaves */
	uint64_t sync_bytes;		 /* 4 MiB: unsynced at most */
	int64_t retry_interval;		 /* 1 s: between tries while the disk refuses, ns */
	const char *machine_id_file;	 /* /etc/machine-id */
	const char *boot_id_file;	 /* /proc/sys/kernel/random/boot_id */
	const struct spool_files *files; /* the system's calls */
};

/* A copy of the writer's state, for status and metrics. */
struct spool_status {
	uint64_t messages; /* in the spool now */
	uint64_t bytes;	   /* on disk */
	uint64_t first_sequence, last_sequence;
	uint64_t synced_sequence;
	uint64_t waiting_messages, waiting_bytes; /* in memory, while the disk refuses */
	uint64_t lost_messages, lost_bytes;	  /* before the spool */
	/* By the cap, undelivered or not; readers see it as a gap. */
	uint64_t removed_messages, removed_bytes;
	uint64_t damaged_frames; /* or runs of them, found at start or when their segment goes */
	int error;		 /* 0, or the -errno of the last failure while it lasts */
	char spool_id[33];
	int64_t oldest; /* wall time of the oldest message; 0 none */
};

struct spool_writer_ops {
	/* Called on the writer's thread: messages up to this sequence are in the spool (written; synced under
	 * sync=always). Must only wake somebody. */
	void (*stored)(uint64_t sequence, void *userdata);
	/* Called on the writer's thread when messages were lost before the spool and it works again: to be
	 * told by a text message. */
	void (*lost)(const struct spool_loss *loss, void *userdata);
};

/*
 * Opens (makes, recovers) the spool and starts the thread. -EWOULDBLOCK when another process holds it;
 * -EPROTONOSUPPORT for a newer format, with advice in *ret_reason. A directory that can't be written is not
 * an error: the writer keeps trying.
 */
int spool_writer_new(const struct spool_writer_options *options, const struct spool_writer_ops *ops,
		     void *userdata, struct spool_writer **ret_writer, char **ret_reason);
/* Writes and syncs what waits, then ends the thread. */
void spool_writer_free(struct spool_writer *writer);
/* The same, and says what is lost, now or before, and has not been told. */
void spool_writer_close(struct spool_writer *writer, struct spool_loss *ret_loss);
/* What an earlier run could not tell: to be told with this one's losses. */
void spool_writer_add_loss(struct spool_writer *writer, const struct spool_loss *loss);

/*
 * Takes a copy of one message; time is its client_time. Any thread but the loop's: when memory_max is reached
 * and the disk works, it waits for room (5 s at most; a disk that stands still longer counts as one that
 * refuses). 0; -EMSGSIZE for a message that is empty or that the spool can never hold, -ENOMEM, -ENOBUFS:
 * then it is counted as lost.
 */
int spool_writer_append(struct spool_writer *writer, const char *message, size_t n, int64_t time);
/* Messages from now on belong to this public log ID (zeros: the node's configured one): begins a new segment
 * if it differs. */
int spool_writer_set_public_id(struct spool_writer *writer, const struct log_id *public_id);
/* Changed settings after a reload (not the directory). */
int spool_writer_reconfigure(struct spool_writer *writer, const struct spool_writer_options *options);
/* A cursor has moved: remove what may go, soon. Any thread. */
void spool_writer_prune(struct spool_writer *writer);
/* Returns when all appended before is written and synced, or after the timeout (-ETIMEDOUT), or the disk
 * refuses (-errno). */
int spool_writer_sync(struct spool_writer *writer, int timeout_ms);
/* A descriptor of the directory that is written to, whatever its path leads to by now; owned by the caller.
 * Or -errno. */
int spool_writer_open_directory(struct spool_writer *writer);
void spool_writer_get_status(struct spool_writer *writer, struct spool_status *ret_status);
/* The time of the last message that was in the spool when it was opened; 0 none. */
int64_t spool_writer_last_time(const struct spool_writer *writer);
