/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a sink on disk. Order matters: what the server has acknowledged is durable here before the
 * collector may remove it.
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
 *	 92   4  CRC32C of the body
 *	 96   8  length of the body
 *	104 128  token
 *	 the loss to be told:
 *	232   8  messages
 *	240   8  bytes
 *	248   8  from
 *	256   8  to
 *	264   8  client_time
 *	272   4  proc_id
 *	276   4  reason
 *	 sums and the last success:
 *	280   8  lost messages
 *	288   8  lost bytes
 *	296   8  quarantined messages
 *	304   8  quarantined bytes
 *	312   8  sent messages
 *	320   8  sent bytes
 *	328   8  time of the last success
 *	336   4  CRC32C of everything before (a longer slot of the same version: its last four bytes)
 */

#include "common/spool/cursor.h"

#include "common/crc32c.h"
#include "common/file.h"
#include "common/kill_point.h"
#include "common/little_endian.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define SLOT_LENGTH 340

static const uint8_t magic[8] = {'N', 'L', 'C', 'U', 'R', 'S', 'O', 'R'};

struct cursor {
	int directory_fd;
	int fd;
	mode_t mode;
	uint64_t generation;
	unsigned int slot; /* that holds the state */
	struct cursor_state state;
};

static void put_position(uint8_t *at, const struct spool_position *position)
{
	memcpy(at, position->spool_id.bytes, SPOOL_ID_SIZE);
	put_le64(at + 16, position->sequence);
	put_le64(at + 24, position->messages);
	put_le64(at + 32, position->bytes);
	put_le64(at + 40, (uint64_t)position->time);
}

static struct spool_position get_position(const uint8_t *at)
{
	struct spool_position position = {
		.sequence = get_le64(at + 16),
		.messages = get_le64(at + 24),
		.bytes = get_le64(at + 32),
		.time = (int64_t)get_le64(at + 40),
	};

	memcpy(position.spool_id.bytes, at, SPOOL_ID_SIZE);
	return position;
}

static void put_batch(uint8_t *at, const struct cursor_batch *batch)
{
	size_t n = strnlen(batch->token, CURSOR_TOKEN_MAX - 1);

	put_le64(at, batch->first);
	put_le64(at + 8, batch->last);
	put_le32(at + 16, batch->messages);
	put_le32(at + 20, batch->body_crc);
	put_le64(at + 24, batch->body_length);
	memcpy(at + 32, batch->token, n);
}

static struct cursor_batch get_batch(const uint8_t *at)
{
	struct cursor_batch batch = {
		.first = get_le64(at),
		.last = get_le64(at + 8),
		.messages = get_le32(at + 16),
		.body_crc = get_le32(at + 20),
		.body_length = get_le64(at + 24),
	};

	memcpy(batch.token, at + 32, CURSOR_TOKEN_MAX - 1);
	return batch;
}

static void put_loss(uint8_t *at, const struct cursor_loss *loss)
{
	put_le64(at, loss->messages);
	put_le64(at + 8, loss->bytes);
	put_le64(at + 16, (uint64_t)loss->from);
	put_le64(at + 24, (uint64_t)loss->to);
	put_le64(at + 32, (uint64_t)loss->client_time);
	put_le32(at + 40, loss->proc_id);
	put_le32(at + 44, (uint32_t)loss->reason);
}

static struct cursor_loss get_loss(const uint8_t *at)
{
	uint32_t reason = get_le32(at + 44);

	return (struct cursor_loss){
		.messages = get_le64(at),
		.bytes = get_le64(at + 8),
		.from = (int64_t)get_le64(at + 16),
		.to = (int64_t)get_le64(at + 24),
		.client_time = (int64_t)get_le64(at + 32),
		.proc_id = get_le32(at + 40),
		.reason = reason <= CURSOR_LOSS_UNREAD ? (enum cursor_loss_reason)reason
						       : CURSOR_LOSS_SPOOL_FULL,
	};
}

void cursor_encode(const struct cursor_state *state, uint64_t generation,
		   uint8_t ret_data[static CURSOR_SLOT_SIZE])
{
	memset(ret_data, 0, CURSOR_SLOT_SIZE);
	memcpy(ret_data, magic, sizeof(magic));
	put_le32(ret_data + 8, CURSOR_VERSION);
	put_le32(ret_data + 12, SLOT_LENGTH);
	put_le64(ret_data + 16, generation);
	put_position(ret_data + 24, &state->delivered);
	put_batch(ret_data + 72, &state->batch);
	put_loss(ret_data + 232, &state->loss);
	put_le64(ret_data + 280, state->lost_messages);
	put_le64(ret_data + 288, state->lost_bytes);
	put_le64(ret_data + 296, state->quarantined_messages);
	put_le64(ret_data + 304, state->quarantined_bytes);
	put_le64(ret_data + 312, state->sent_messages);
	put_le64(ret_data + 320, state->sent_bytes);
	put_le64(ret_data + 328, (uint64_t)state->last_success);
	put_le32(ret_data + 336, crc32c(0, ret_data, 336));
}

static int decode_slot(const uint8_t *data, size_t n, struct cursor_state *ret_state,
		       uint64_t *ret_generation)
{
	uint32_t length;

	if (n < SLOT_LENGTH || memcmp(data, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	length = get_le32(data + 12);
	if (length < SLOT_LENGTH || length > CURSOR_SLOT_SIZE || length > n ||
	    get_le32(data + length - 4) != crc32c(0, data, length - 4))
		return -EBADMSG;
	if (get_le32(data + 8) > CURSOR_VERSION)
		return -EPROTONOSUPPORT;
	*ret_generation = get_le64(data + 16);
	*ret_state = (struct cursor_state){
		.delivered = get_position(data + 24),
		.batch = get_batch(data + 72),
		.loss = get_loss(data + 232),
		.lost_messages = get_le64(data + 280),
		.lost_bytes = get_le64(data + 288),
		.quarantined_messages = get_le64(data + 296),
		.quarantined_bytes = get_le64(data + 304),
		.sent_messages = get_le64(data + 312),
		.sent_bytes = get_le64(data + 320),
		.last_success = (int64_t)get_le64(data + 328),
	};
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

int cursor_read(int directory_fd, const char *path, struct cursor_state *ret_state)
{
	_cleanup_close_ int fd = -1;
	uint8_t data[CURSOR_FILE_SIZE];
	struct cursor_state state;
	uint64_t generation = 0;
	unsigned int slot;
	size_t n;
	int r;

	fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = read_at(fd, data, sizeof(data), 0, &n);
	if (r < 0)
		return r;
	r = cursor_decode(data, n, &state, &generation, &slot);
	if (r < 0)
		return r;
	*ret_state = state;
	return 0;
}

/* Makes the file anew, of full size, with this state in its first slot. */
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

static int load(struct cursor *cursor)
{
	uint8_t data[CURSOR_FILE_SIZE];
	size_t n;
	int r;

	r = read_at(cursor->fd, data, sizeof(data), 0, &n);
	if (r < 0)
		return r;
	return cursor_decode(data, n, &cursor->state, &cursor->generation, &cursor->slot);
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
		r = load(cursor);
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

/* Whether the file has gone, or another has taken its place: nobody would ever read what is written to it. */
static bool is_gone(const struct cursor *cursor)
{
	struct stat st;

	return fstat(cursor->fd, &st) == 0 && st.st_nlink == 0;
}

int cursor_write(struct cursor *cursor, const struct cursor_state *state)
{
	int r;

	if (is_gone(cursor))
		return make_file(cursor, state, true);
	r = write_slot(cursor, state);
	if (r == 0)
		return 0;
	/* A file whose write or sync failed may lie about what is on the disk: never write its other slot. */
	return make_file(cursor, state, true) < 0 ? r : 0;
}
