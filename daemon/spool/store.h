/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The segments of a spool that is written: found, recovered, begun, synced, removed. Single-threaded: the
 * writer's thread alone calls it. Its callers decide when; this decides which file.
 */

#include "common/spool/format.h"
#include "daemon/spool/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* After a run whose last writes may be lost, sequences jump by more than a run can have unsynced. */
#define SPOOL_SEQUENCE_JUMP (UINT64_C(1) << 20)

/* Smaller pieces are no cheaper: what a file of so many bytes takes of the disk. */
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
};

struct spool_store {
	const struct spool_writer_options *options; /* borrowed; may be exchanged between calls */
	const struct spool_files *files;
	int directory_fd, lock_fd, reserve_fd;
	bool reserve_held;		/* or the file system can't hold one */
	struct spool_segment *segments; /* oldest first; the last is the open one if fd >= 0 */
	size_t n_segments, allocated;
	int fd;
	bool directory_dirty; /* a segment's name is not synced */
	struct spool_id id, previous_id;
	uint8_t machine[32], boot_id[16];
	/* The next new message's. */
	uint64_t next_sequence, next_bytes;
	/* Messages before a sequence of this run: run_messages + sequence - run_sequence. */
	uint64_t run_sequence, run_messages;
	uint64_t total_size;   /* that all segments take of the disk */
	uint64_t damaged_size; /* and what is kept of damage */
	uint64_t removed_messages, removed_bytes;
	uint64_t damaged;   /* regions found by this run */
	uint64_t set_aside; /* bytes of them that it kept */
	int64_t last_time;  /* of the last message at start; 0 none */
};

void spool_store_init(struct spool_store *store, const struct spool_writer_options *options);
/* As spool_writer_new() says; may be called again after a failure. */
int spool_store_open(struct spool_store *store, char **ret_reason);
void spool_store_deinit(struct spool_store *store);

/* Bytes for frames in the open segment; 0 when none is open. (An empty segment takes a frame of any size.) */
uint64_t spool_store_room(const struct spool_store *store);
/* The open segment; NULL when there is none. */
const struct spool_segment *spool_store_current(const struct spool_store *store);
/* Bytes of frames and headers that the cap allows. */
uint64_t spool_store_usable(const struct spool_writer_options *options);
/* Other settings from now on: the reserve may be of another size. */
void spool_store_set_options(struct spool_store *store, const struct spool_writer_options *options);
/* Begins a segment with this frame as its first; the one that was open must be synced or abandoned. 0 or
 * -errno, and then none is open. */
int spool_store_begin(struct spool_store *store, const struct spool_frame *first,
		      const struct log_id *public_id);
/* Appends bytes. On -errno *ret_written tells how many are in the file (else all). */
int spool_store_write(struct spool_store *store, const void *data, size_t n, size_t *ret_written);
/* Tells what whole frames a write has added. */
void spool_store_added(struct spool_store *store, size_t size, uint64_t messages,
		       const struct spool_frame *last);
/* After a failed write: cuts off what is no whole frame. On -errno the segment is to be abandoned. */
int spool_store_cut(struct spool_store *store);
/* Syncs the open segment, and the directory if a name in it is new. On -errno the segment is to be abandoned:
 * after a failed sync nobody knows what is in it. */
int spool_store_sync(struct spool_store *store);
/* Leaves the open segment for good, with what is in the file, whole frames or not. */
void spool_store_leave(struct spool_store *store);

/* Removes what is kept of damage, then the oldest segments, until so many bytes more are within the cap; the
 * open one stays. Returns how many segments. */
size_t spool_store_keep_cap(struct spool_store *store, uint64_t more);
/* Removes segments that the last one repeats as a whole: they could not be synced, and it was written in
 * their place. */
void spool_store_drop_repeated(struct spool_store *store);
/* Removes what all sinks have (unless retained), and what the cap wants. Returns how many segments. */
size_t spool_store_prune(struct spool_store *store);
/* Whether every sink has all that is in the spool, and there is something. */
bool spool_store_is_delivered(const struct spool_store *store);
/*
 * The disk was full, so the reserve is given up, and all is synced: if every sink has all that is in the
 * spool, begins a segment in the room of the reserve and removes what was there.
 */
void spool_store_renew(struct spool_store *store, const struct spool_frame *first,
		       const struct log_id *public_id);
/* The disk is full: gives up what is only retained or kept of damage, else the reserve. Returns true when
 * there may be room now. */
bool spool_store_make_room(struct spool_store *store);
/* Before the next try on a full disk: takes the reserve back. 0 or -ENOSPC. */
int spool_store_take_reserve(struct spool_store *store);
