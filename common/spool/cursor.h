/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * How far a sink has got, and what the uploader must not forget: a small state file of two checksummed slots,
 * written in turn, so that a torn write leaves the previous state. It has its full size from the start, so
 * that writing it needs no room on a full disk. The uploader writes it; the daemon reads it to know what may
 * be removed.
 *
 * file: two slots of CURSOR_SLOT_SIZE bytes each, little-endian, field by field; the layout is in cursor.c.
 */

#include "common/cleanup.h"
#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CURSOR_VERSION	 2
#define CURSOR_SLOT_SIZE 4096
#define CURSOR_FILE_SIZE (2 * CURSOR_SLOT_SIZE)
#define CURSOR_NAME	 "cursor"

/* A batch keeps its bounds for all its tries, also after a restart. first 0: none under way. */
struct cursor_batch {
	uint64_t first, last; /* sequences */
	uint32_t messages;
};

enum cursor_loss_reason {
	CURSOR_LOSS_SPOOL_FULL = 0,
	CURSOR_LOSS_DAMAGED = 1,
	CURSOR_LOSS_REFUSED = 2, /* by the server, and it could not be set aside */
	CURSOR_LOSS_UNREAD = 3,	 /* passed over for an unknown reason: a bug */
	CURSOR_LOSS_CUT_OUT = 4, /* gone from the middle, which is not done for lack of room */
	CURSOR_LOSS_GONE = 5,	 /* gone though the spool is nowhere near full */
};

/* A report of lost messages that is not delivered yet: it belongs to the batch under way, or else to the next
 * one. messages 0: none. */
struct cursor_loss {
	uint64_t messages, bytes;
	int64_t from, to;    /* wall times of what was lost */
	int64_t client_time; /* when the report was made: kept for all its tries */
	uint32_t proc_id;
	enum cursor_loss_reason reason;
};

struct cursor_state {
	struct spool_position delivered;
	struct cursor_batch batch;
	struct cursor_loss loss;
	uint64_t lost_messages, lost_bytes; /* ever */
	uint64_t quarantined_messages, quarantined_bytes;
	uint64_t sent_messages, sent_bytes;
	int64_t last_success; /* wall, ns; 0 never */
};

struct cursor;

/*
 * Opens <directory>/cursor for writing, or makes it (mode; all zeros). If both slots are damaged, the file is
 * set aside as "cursor.damaged" and a new one made: the sink begins with the oldest message again. 0;
 * positive when that happened; -EPROTONOSUPPORT for a newer version; another -errno. The caller keeps the
 * directory descriptor.
 */
int cursor_open(int directory_fd, mode_t mode, struct cursor **ret_cursor);
void cursor_free(struct cursor *cursor);
DEFINE_CLEANUP(struct cursor *, cursor_free);
/* The state as it was last read or durably written. */
const struct cursor_state *cursor_state(const struct cursor *cursor);
/* Writes and syncs. On -errno the previous state stands, on disk and here; try again later. */
int cursor_write(struct cursor *cursor, const struct cursor_state *state);
/* From the next cursor_write() on, which makes the file, it is in another directory. 0 or -errno. The caller
 * keeps the directory descriptor. */
int cursor_move(struct cursor *cursor, int directory_fd);

/* Reads what was last written whole to <path>, relative to a directory, without a lock. -ENOENT; -EBADMSG
 * when both slots are damaged; -EPROTONOSUPPORT; or the -errno of opening or reading. */
int cursor_read(int directory_fd, const char *path, struct cursor_state *ret_state);

/* The same, and what was read is on the disk for good: a power cut can't bring back an older state. Also
 * -errno of syncing. */
int cursor_read_safe(int directory_fd, const char *path, struct cursor_state *ret_state);

/* The bytes of one slot; the rest of it is zeros. */
void cursor_encode(const struct cursor_state *state, uint64_t generation,
		   uint8_t ret_data[static CURSOR_SLOT_SIZE]);
/* The newer of the sound slots in a file's bytes. -EBADMSG, -EPROTONOSUPPORT. ret_slot is 0 or 1. */
int cursor_decode(const uint8_t *data, size_t n, struct cursor_state *ret_state, uint64_t *ret_generation,
		  unsigned int *ret_slot);
