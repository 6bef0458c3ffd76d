/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the writer knows of the spool on disk: its directory, its segments and how much of the disk they take.
 * Store, prune, recover and damaged work on it. Single-threaded: the writer's thread alone uses it.
 */

#include "common/spool/format.h"
#include "daemon/spool/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What a file of so many bytes takes of the disk: whole blocks. */
static inline uint64_t spool_blocks(uint64_t size)
{
	return (size + 4095) & ~UINT64_C(4095);
}

struct spool_segment {
	char name[SPOOL_NAME_MAX];
	struct spool_header header;
	uint64_t size; /* on disk */
	uint64_t messages, bytes;
	uint64_t last_sequence; /* first - 1 when empty */
	int64_t last_time;
	bool scanned; /* its damaged parts are known */
	bool safe;    /* its name and its header are synced */
};

struct spool_store {
	const struct spool_writer_options *options; /* borrowed; may be replaced between calls */
	const struct spool_files *files;
	int directory_fd, lock_fd, reserve_fd;
	bool reserve_held; /* or the file system can't hold one */
	uint64_t reserve_size, disk_size;
	struct spool_segment *segments; /* oldest first; the last is the open one if fd >= 0 */
	size_t n_segments, allocated;
	int fd;
	bool directory_dirty; /* a segment's name is not synced */
	bool prune_waits;     /* for a segment that is synced, until others may go */
	struct spool_id id, previous_id;
	uint8_t machine[32], boot_id[16];
	/* Of the next new message. */
	uint64_t next_sequence, next_bytes;
	/* Messages before a sequence of this run: run_messages + sequence - run_sequence. */
	uint64_t run_sequence, run_messages;
	bool run_safe; /* a segment of this run is */
	/* Of the last segment's name. No sequence is 0. */
	uint64_t named_sequence;
	unsigned int named_attempt;
	uint64_t total_size;   /* that all segments take of the disk */
	uint64_t damaged_size; /* that what is kept of damage takes */
	uint64_t removed_messages, removed_bytes;
	uint64_t undelivered_messages, undelivered_bytes; /* of those: a sink did not have them */
	uint64_t vanished_segments, vanished_messages,
		vanished_bytes;		   /* of those: somebody else removed them */
	uint64_t vanished_undelivered;	   /* messages, of those: a sink did not have them */
	struct timespec directory_changed; /* when its segments were last looked for */
	uint64_t damaged;		   /* regions found by this run */
	uint64_t set_aside;		   /* bytes of them that it kept */
	int64_t last_time;		   /* of the last message at start; 0 none */
};

/* The open segment; NULL when there is none. */
struct spool_segment *spool_segments_current(const struct spool_store *store);
/* The highest sequence in any of them; 0: none. */
uint64_t spool_segments_reach(const struct spool_store *store);
/* Makes room for one more in memory. 0 or -ENOMEM. */
int spool_segments_reserve(struct spool_store *store);
/* Adds one behind the others. 0 or -ENOMEM, never after spool_segments_reserve(). */
int spool_segments_add(struct spool_store *store, const struct spool_segment *segment);
/* Segment i has this size now. */
void spool_segments_resize(struct spool_store *store, size_t i, uint64_t size);
/*
 * Removes segment i, which is not the open one, from the disk and the list. 0 or -errno; -EBUSY when no other
 * is safe: a power cut could bring back none of them, and with them the spool id would be gone.
 */
int spool_segments_remove(struct spool_store *store, size_t i);
