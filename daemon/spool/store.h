/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The files of a spool that is written: opened, recovered, begun, written, synced, and the reserve for a full
 * disk. Single-threaded: the writer's thread alone calls it. The writer decides when; this decides which
 * file.
 */

#include "daemon/spool/segments.h"

void spool_store_init(struct spool_store *store, const struct spool_writer_options *options);
/* As spool_writer_new() says; may be called again after a failure. */
int spool_store_open(struct spool_store *store, char **ret_reason);
void spool_store_deinit(struct spool_store *store);

/* Bytes left for frames in the open segment; 0 when none is open. (An empty segment takes a frame of any
 * size.) */
uint64_t spool_store_room(const struct spool_store *store);
/* Other settings from now on: the reserve may be of another size. */
void spool_store_set_options(struct spool_store *store, const struct spool_writer_options *options);
/* Begins a segment with this frame as its first; the open one must be synced or abandoned. 0 or -errno, and
 * then none is open. */
int spool_store_begin(struct spool_store *store, const struct spool_frame *first,
		      const struct log_id *public_id);
/* Appends bytes. 0; on -errno *ret_written of them are in the file. */
int spool_store_write(struct spool_store *store, const void *data, size_t n, size_t *ret_written);
/* Accounts for the whole frames that a write has added. */
void spool_store_added(struct spool_store *store, size_t size, uint64_t messages,
		       const struct spool_frame *last);
/* After a failed write: cuts off a partial frame. On -errno the segment must be abandoned. */
int spool_store_cut(struct spool_store *store);
/* Syncs the open segment, and the directory if a name in it is new. On -errno the segment must be abandoned:
 * after a failed sync nobody knows what is in it. -ESTALE: somebody has removed, moved, replaced or cut it
 * off; then spool_store_look_after() follows. */
int spool_store_sync(struct spool_store *store);
/* Whether the directory is no longer where it was opened: removed or moved. */
bool spool_store_is_gone(const struct spool_store *store);
/*
 * Somebody has removed files of the spool, or all of it: makes the directory again if it is gone, and counts
 * what was in the files that are no longer there, except what memory still holds and will be written again.
 * No segment may be open. 0 or -errno; -EEXIST when another spool is in its place: counted all the same, but
 * nothing can be written.
 */
int spool_store_look_after(struct spool_store *store, uint64_t kept_messages, uint64_t kept_bytes);
/* Counts closed segments that somebody has removed. Looks for them only when the directory has changed. */
void spool_store_find_removed(struct spool_store *store);
/* Abandons the open segment for good, with what is in the file, whole frames or not. */
void spool_store_leave(struct spool_store *store);

/*
 * The disk was full, so the reserve is given up, and all is synced: if every sink has all that is in the
 * spool, begins a segment in the room of the reserve and removes the others.
 */
void spool_store_renew(struct spool_store *store, const struct spool_frame *first,
		       const struct log_id *public_id);
/* The disk is full: removes what is only retained or kept of damage, else gives up the reserve. Returns true
 * when there may be room now. */
bool spool_store_make_room(struct spool_store *store);
/* Before the next try on a full disk: takes the reserve back. 0 or -ENOSPC. */
int spool_store_take_reserve(struct spool_store *store);
