/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a sink on disk. Order matters: what the server has acknowledged is durable here before the
 * daemon may remove it.
 *
 * slot:
 *	  0   8  magic "NLCURSOR"
 *	  8   4  version
 *	 12   4  length of what the checksum covers, with it
 *	 16   8  generation: the higher one of two sound slots counts
 *	 how far it is delivered:
 *	 24  16  spool id
 *	 40   8  sequence
 *	 48   8  messages
 *	 56   8  bytes
 *	 64   8  time
 *	 the batch under way:
 *	 72   8  first sequence
 *	 80   8  last sequence
 *	 88   4  messages
 *	 the loss to report:
 *	 92   8  messages
 *	100   8  bytes
 *	108   8  from
 *	116   8  to
 *	124   8  client_time
 *	132   4  proc_id
 *	136   4  reason
 *	 totals and the last success:
 *	140   8  lost messages
 *	148   8  lost bytes
 *	156   8  quarantined messages
 *	164   8  quarantined bytes
 *	172   8  sent messages
 *	180   8  sent bytes
 *	188   8  time of the last success
 *	196 140  zeros
 *	336   4  CRC32C of everything before (a longer slot of the same version: its last four bytes)
 *
 * Version 1 had 140 bytes more between the batch and the loss, which nobody read, and no zeros. A slot of
 * version 2 is as long, so that a program that knows only version 1 sees a newer version and no damage.
 */

#include "common/spool/cursor.h"

#include "common/crc32c.h"
#include "common/file.h"
#include "common/kill_point.h"
#include "common/little_endian.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define SLOT_LENGTH	   340
#define VERSION_1_ADDITION 140

static const uint8_t magic[8] = {'N', 'L', 'C', 'U', 'R', 'S', 'O', 'R'};

struct cursor {
	int directory_fd;
	int fd;
	mode_t mode;
	uint64_t generation;
	unsigned int slot; /* that holds the state */
	struct cursor_state state;
};

void cursor_encode(const struct cursor_state *state, uint64_t generation,
		   uint8_t ret_data[static CURSOR_SLOT_SIZE])
{
	uint8_t *data = ret_data;

	memset(data, 0, CURSOR_SLOT_SIZE);
	memcpy(data, magic, sizeof(magic));
	put_le32(data + 8, CURSOR_VERSION);
	put_le32(data + 12, SLOT_LENGTH);
	put_le64(data + 16, generation);
	memcpy(data + 24, state->delivered.spool_id.bytes, SPOOL_ID_SIZE);
	put_le64(data + 40, state->delivered.sequence);
	put_le64(data + 48, state->delivered.messages);
	put_le64(data + 56, state->delivered.bytes);
	put_le64(data + 64, (uint64_t)state->delivered.time);
	put_le64(data + 72, state->batch.first);
	put_le64(data + 80, state->batch.last);
	put_le32(data + 88, state->batch.messages);
	put_le64(data + 92, state->loss.messages);
	put_le64(data + 100, state->loss.bytes);
	put_le64(data + 108, (uint64_t)state->loss.from);
	put_le64(data + 116, (uint64_t)state->loss.to);
	put_le64(data + 124, (uint64_t)state->loss.client_time);
	put_le32(data + 132, state->loss.proc_id);
	put_le32(data + 136, (uint32_t)state->loss.reason);
	put_le64(data + 140, state->lost_messages);
	put_le64(data + 148, state->lost_bytes);
	put_le64(data + 156, state->quarantined_messages);
	put_le64(data + 164, state->quarantined_bytes);
	put_le64(data + 172, state->sent_messages);
	put_le64(data + 180, state->sent_bytes);
	put_le64(data + 188, (uint64_t)state->last_success);
	put_le32(data + SLOT_LENGTH - 4, crc32c(0, data, SLOT_LENGTH - 4));
}

static int decode_slot(const uint8_t *data, size_t n, struct cursor_state *ret_state,
		       uint64_t *ret_generation)
{
	uint32_t version, length, reason;
	const uint8_t *rest = data;

	if (n < SLOT_LENGTH || memcmp(data, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	length = get_le32(data + 12);
	if (length < SLOT_LENGTH || length > CURSOR_SLOT_SIZE || length > n ||
	    get_le32(data + length - 4) != crc32c(0, data, length - 4))
		return -EBADMSG;
	version = get_le32(data + 8);
	if (version > CURSOR_VERSION)
		return -EPROTONOSUPPORT;
	if (version < 2)
		rest += VERSION_1_ADDITION;
	reason = get_le32(rest + 136);
	*ret_state = (struct cursor_state){
		.delivered.sequence = get_le64(data + 40),
		.delivered.messages = get_le64(data + 48),
		.delivered.bytes = get_le64(data + 56),
		.delivered.time = (int64_t)get_le64(data + 64),
		.batch.first = get_le64(data + 72),
		.batch.last = get_le64(data + 80),
		.batch.messages = get_le32(data + 88),
		.loss.messages = get_le64(rest + 92),
		.loss.bytes = get_le64(rest + 100),
		.loss.from = (int64_t)get_le64(rest + 108),
		.loss.to = (int64_t)get_le64(rest + 116),
		.loss.client_time = (int64_t)get_le64(rest + 124),
		.loss.proc_id = get_le32(rest + 132),
		.loss.reason =
			reason <= CURSOR_LOSS_GONE ? (enum cursor_loss_reason)reason : CURSOR_LOSS_SPOOL_FULL,
		.lost_messages = get_le64(rest + 140),
		.lost_bytes = get_le64(rest + 148),
		.quarantined_messages = get_le64(rest + 156),
		.quarantined_bytes = get_le64(rest + 164),
		.sent_messages = get_le64(rest + 172),
		.sent_bytes = get_le64(rest + 180),
		.last_success = (int64_t)get_le64(rest + 188),
	};
	memcpy(ret_state->delivered.spool_id.bytes, data + 24, SPOOL_ID_SIZE);
	*ret_generation = get_le64(data + 16);
	return 0;
}

int cursor_decode(const uint8_t *data, size_t n, struct cursor_state *ret_state, uint64_t *ret_generation,
		  unsigned int *ret_slot)
{
	int result = -EBADMSG;

	for (unsigned int slot = 0; slot < 2 && n > (size_t)slot * CURSOR_SLOT_SIZE; slot++) {
		struct cursor_state state;
		uint64_t generation;
		size_t offset = (size_t)slot * CURSOR_SLOT_SIZE;
		int r = decode_slot(data + offset, MIN(n - offset, (size_t)CURSOR_SLOT_SIZE), &state,
				    &generation);

		if (r == -EPROTONOSUPPORT)
			return r;
		if (r < 0 || (result == 0 && generation <= *ret_generation))
			continue;
		*ret_state = state;
		*ret_generation = generation;
		*ret_slot = slot;
		result = 0;
	}
	return result;
}

/* The state in a file, and where it stands there. 0 or -errno. */
static int load(int fd, struct cursor_state *ret_state, uint64_t *ret_generation, unsigned int *ret_slot)
{
	uint8_t data[CURSOR_FILE_SIZE];
	size_t n;
	int r;

	r = read_at(fd, data, sizeof(data), 0, &n);
	if (r < 0)
		return r;
	return cursor_decode(data, n, ret_state, ret_generation, ret_slot);
}

static int read_state(int directory_fd, const char *path, bool safe, struct cursor_state *ret_state)
{
	_cleanup_close_ int fd = -1;
	struct cursor_state state;
	uint64_t generation;
	unsigned int slot;
	int r;

	fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = load(fd, &state, &generation, &slot);
	/* Afterwards: what is written later only moves it on. */
	if (r == 0 && safe)
		r = fdatasync(fd) < 0 ? -errno : file_sync_directory(directory_fd, path);
	if (r == 0)
		*ret_state = state;
	return r;
}

int cursor_read(int directory_fd, const char *path, struct cursor_state *ret_state)
{
	return read_state(directory_fd, path, false, ret_state);
}

int cursor_read_safe(int directory_fd, const char *path, struct cursor_state *ret_state)
{
	return read_state(directory_fd, path, true, ret_state);
}

/* Makes a new file, of full size, with this state in its first slot. */
static int make_file(struct cursor *cursor, const struct cursor_state *state, bool replace)
{
	uint8_t data[CURSOR_FILE_SIZE] = {};
	int fd, r;

	cursor_encode(state, cursor->generation + 1, data);
	if (replace)
		r = file_write_atomic(cursor->directory_fd, CURSOR_NAME, data, sizeof(data), cursor->mode);
	else
		r = file_create_atomic(cursor->directory_fd, CURSOR_NAME, data, sizeof(data), cursor->mode);
	if (r < 0)
		return r;
	kill_point("cursor-made");
	fd = openat(cursor->directory_fd, CURSOR_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	safe_close(cursor->fd);
	cursor->fd = fd;
	cursor->generation++;
	cursor->slot = 0;
	cursor->state = *state;
	return 0;
}

int cursor_open(int directory_fd, mode_t mode, struct cursor **ret_cursor)
{
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	bool damaged = false;
	int r;

	cursor = calloc(1, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	cursor->mode = mode;
	cursor->fd = -1;
	cursor->directory_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cursor->directory_fd < 0)
		return -errno;
	file_remove_temporary(cursor->directory_fd, CURSOR_NAME);
	cursor->fd = openat(cursor->directory_fd, CURSOR_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (cursor->fd < 0 && errno != ENOENT)
		return -errno;
	if (cursor->fd >= 0) {
		r = load(cursor->fd, &cursor->state, &cursor->generation, &cursor->slot);
		damaged = r == -EBADMSG;
		if (r < 0 && !damaged)
			return r;
	}
	if (damaged &&
	    renameat(cursor->directory_fd, CURSOR_NAME, cursor->directory_fd, CURSOR_NAME ".damaged") < 0)
		return -errno;
	if (damaged || cursor->fd < 0) {
		r = make_file(cursor, &(struct cursor_state){}, false);
		if (r < 0)
			return r;
	}
	*ret_cursor = TAKE_PTR(cursor);
	return damaged;
}

void cursor_free(struct cursor *cursor)
{
	if (!cursor)
		return;
	safe_close(cursor->fd);
	safe_close(cursor->directory_fd);
	free(cursor);
}

const struct cursor_state *cursor_state(const struct cursor *cursor)
{
	return &cursor->state;
}

/* Into the slot that does not hold the state; nothing here changes unless it is durable. */
static int write_slot(struct cursor *cursor, const struct cursor_state *state)
{
	unsigned int slot = !cursor->slot;
	uint8_t data[CURSOR_SLOT_SIZE];
	size_t done = 0;

	cursor_encode(state, cursor->generation + 1, data);
	while (done < sizeof(data)) {
		size_t want = kill_point_cut("cursor-torn", SLOT_LENGTH) < SLOT_LENGTH ? SLOT_LENGTH / 2
										       : sizeof(data) - done;
		ssize_t n = pwrite(cursor->fd, data + done, want,
				   (off_t)((size_t)slot * CURSOR_SLOT_SIZE + done));

		kill_point("cursor-torn");
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	kill_point("cursor-written");
	if (fdatasync(cursor->fd) < 0)
		return -errno;
	kill_point("cursor-synced");
	cursor->slot = slot;
	cursor->generation++;
	cursor->state = *state;
	return 0;
}

int cursor_move(struct cursor *cursor, int directory_fd)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	safe_close(cursor->directory_fd);
	cursor->directory_fd = fd;
	cursor->fd = safe_close(cursor->fd);
	return 0;
}

int cursor_write(struct cursor *cursor, const struct cursor_state *state)
{
	int r;

	/* Removed or moved, or another has taken its place: nobody would ever read what is written to it. */
	if (cursor->fd < 0 ||
	    file_is_at(cursor->fd, cursor->directory_fd, CURSOR_NAME, AT_SYMLINK_NOFOLLOW) == 0)
		return make_file(cursor, state, true);
	r = write_slot(cursor, state);
	if (r == 0)
		return 0;
	/* A file whose write or sync failed may lie about what is on the disk: never write its other slot. */
	return make_file(cursor, state, true) < 0 ? r : 0;
}
