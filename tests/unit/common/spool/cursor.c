/* SPDX-License-Identifier: BSD-3-Clause */
/* The sinks' state files: what is read is what was last written whole, wherever a write was torn. */

#include "common/spool/cursor.h"

#include "common/crc32c.h"
#include "common/little_endian.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cursor_state example = {
	.delivered = {.spool_id = {{1, 2, 3}}, .sequence = 4, .messages = 5, .bytes = 6, .time = -7},
	.batch = {.first = 8, .last = 9, .messages = 10},
	.loss = {.messages = 13,
		 .bytes = 14,
		 .from = 15,
		 .to = 16,
		 .client_time = 17,
		 .proc_id = 18,
		 .reason = CURSOR_LOSS_DAMAGED},
	.lost_messages = 19,
	.lost_bytes = 20,
	.quarantined_messages = 21,
	.quarantined_bytes = 22,
	.sent_messages = 23,
	.sent_bytes = 24,
	.last_success = 25,
};

static void assert_equal(const struct cursor_state *a, const struct cursor_state *b)
{
	uint8_t x[CURSOR_SLOT_SIZE], y[CURSOR_SLOT_SIZE];

	/* Field by field, with the padding left out. */
	cursor_encode(a, 0, x);
	cursor_encode(b, 0, y);
	ck_assert_mem_eq(x, y, sizeof(x));
}

static int open_upload(void)
{
	int fd = open(spool_test.upload, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(state_comes_back)
{
	uint8_t data[CURSOR_FILE_SIZE] = {};
	struct cursor_state state;
	uint64_t generation;
	unsigned int slot;

	cursor_encode(&example, 7, data + CURSOR_SLOT_SIZE);
	ck_assert_int_eq(cursor_decode(data, sizeof(data), &state, &generation, &slot), 0);
	ck_assert_uint_eq(generation, 7);
	ck_assert_uint_eq(slot, 1);
	assert_equal(&state, &example);
	ck_assert_uint_eq(state.delivered.sequence, 4);
	ck_assert_int_eq(state.delivered.time, -7);
	ck_assert_uint_eq(state.batch.last, 9);
	ck_assert_uint_eq(state.batch.messages, 10);
	ck_assert_uint_eq(state.loss.messages, 13);
	ck_assert_int_eq(state.loss.client_time, 17);
	ck_assert_uint_eq(state.loss.proc_id, 18);
	ck_assert_int_eq(state.loss.reason, CURSOR_LOSS_DAMAGED);
	ck_assert_uint_eq(state.quarantined_bytes, 22);
	ck_assert_int_eq(state.last_success, 25);
}
END_TEST

/* The example as version 1 wrote it: 140 bytes more between the batch and the loss. */
static void encode_version_1(uint64_t generation, uint64_t sequence, uint8_t data[static CURSOR_SLOT_SIZE])
{
	static const uint8_t spool_id[] = {1, 2, 3};

	memset(data, 0, CURSOR_SLOT_SIZE);
	memcpy(data, "NLCURSOR", 8);
	put_le32(data + 8, 1);
	put_le32(data + 12, 340);
	put_le64(data + 16, generation);
	memcpy(data + 24, spool_id, sizeof(spool_id));
	put_le64(data + 40, sequence);
	for (uint32_t i = 0; i < 2; i++)
		put_le64(data + 48 + 8 * i, 5 + i);
	put_le64(data + 64, (uint64_t)-7);
	put_le64(data + 72, 8);
	put_le64(data + 80, 9);
	put_le32(data + 88, 10);
	/* CRC32C of the batch's body, its length, a token. */
	put_le32(data + 92, 11);
	put_le64(data + 96, 12);
	memset(data + 104, 't', 127);
	for (uint32_t i = 0; i < 5; i++)
		put_le64(data + 232 + 8 * i, 13 + i);
	put_le32(data + 272, 18);
	put_le32(data + 276, CURSOR_LOSS_DAMAGED);
	for (uint32_t i = 0; i < 7; i++)
		put_le64(data + 280 + 8 * i, 19 + i);
	put_le32(data + 336, crc32c(0, data, 336));
}

START_TEST(version_1_is_read_and_replaced)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_close_ int directory = open_upload();
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	_cleanup_free_ uint8_t *written = NULL;
	struct cursor_state state, next = example;
	uint8_t data[CURSOR_FILE_SIZE];
	size_t size;

	encode_version_1(6, 3, data);
	encode_version_1(7, 4, data + CURSOR_SLOT_SIZE);
	bytes_write(path, data, sizeof(data));
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), 0);
	assert_equal(&state, &example);
	ck_assert_int_eq(cursor_open(directory, 0600, &cursor), 0);
	assert_equal(cursor_state(cursor), &example);
	/* The slot that does not hold the state is written in the new version; the newer one still counts. */
	next.delivered.sequence = 5;
	ck_assert_int_eq(cursor_write(cursor, &next), 0);
	written = bytes_read(path, &size);
	ck_assert_uint_eq(size, CURSOR_FILE_SIZE);
	ck_assert_uint_eq(get_le32(written + 8), 2);
	ck_assert_mem_eq(written + CURSOR_SLOT_SIZE, data + CURSOR_SLOT_SIZE, CURSOR_SLOT_SIZE);
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), 0);
	assert_equal(&state, &next);
	/* Torn, the state of version 1 stands. */
	written[300] ^= 1;
	bytes_write(path, written, size);
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), 0);
	assert_equal(&state, &example);
}
END_TEST

/* A program that knows only version 1 checks no more than this before it looks at the version. */
START_TEST(version_1_sees_a_newer_version)
{
	uint8_t data[CURSOR_SLOT_SIZE];

	cursor_encode(&example, 7, data);
	ck_assert_mem_eq(data, "NLCURSOR", 8);
	ck_assert_uint_ge(get_le32(data + 12), 340);
	ck_assert_uint_eq(get_le32(data + 336), crc32c(0, data, 336));
}
END_TEST

START_TEST(the_newer_sound_slot_counts)
{
	uint8_t data[CURSOR_FILE_SIZE];
	struct cursor_state state, other = example;
	uint64_t generation;
	unsigned int slot;

	other.delivered.sequence = 44;
	for (unsigned int newer = 0; newer < 2; newer++) {
		cursor_encode(&example, 8, data + (size_t)newer * CURSOR_SLOT_SIZE);
		cursor_encode(&other, 7, data + (size_t)!newer * CURSOR_SLOT_SIZE);
		ck_assert_int_eq(cursor_decode(data, sizeof(data), &state, &generation, &slot), 0);
		ck_assert_uint_eq(slot, newer);
		ck_assert_uint_eq(state.delivered.sequence, 4);
		/* Any byte of it changed: the other one. */
		for (size_t i = 0; i < 340; i++) {
			data[(size_t)newer * CURSOR_SLOT_SIZE + i] ^= 0x20;
			ck_assert_int_eq(cursor_decode(data, sizeof(data), &state, &generation, &slot), 0);
			ck_assert_uint_eq(slot, !newer);
			ck_assert_uint_eq(state.delivered.sequence, 44);
			data[(size_t)newer * CURSOR_SLOT_SIZE + i] ^= 0x20;
		}
	}
	memset(data, 0, sizeof(data));
	ck_assert_int_eq(cursor_decode(data, sizeof(data), &state, &generation, &slot), -EBADMSG);
	ck_assert_int_eq(cursor_decode(data, 0, &state, &generation, &slot), -EBADMSG);
}
END_TEST

START_TEST(a_newer_version_is_left_alone)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_close_ int directory = open_upload();
	uint8_t data[CURSOR_FILE_SIZE] = {};
	struct cursor *cursor = NULL;
	struct cursor_state state;

	cursor_encode(&example, 7, data);
	put_le32(data + 8, CURSOR_VERSION + 1);
	put_le32(data + 336, crc32c(0, data, 336));
	bytes_write(path, data, sizeof(data));
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), -EPROTONOSUPPORT);
	ck_assert_int_eq(cursor_open(directory, 0640, &cursor), -EPROTONOSUPPORT);
	ck_assert_ptr_null(cursor);
}
END_TEST

START_TEST(leftovers_go)
{
	_cleanup_free_ char *leftover = path_join(spool_test.upload, CURSOR_NAME ".tmp-00112233aabbccdd");
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	_cleanup_close_ int fd = open_upload();

	text_write(leftover, "NLCURSOR");
	ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
	ck_assert_int_eq(access(leftover, F_OK), -1);
}
END_TEST

START_TEST(written_in_turn)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_close_ int directory = open_upload();
	struct cursor_state state = example;
	struct stat st;

	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), -ENOENT);
	for (uint64_t run = 0; run < 3; run++) {
		_cleanup_(cursor_freep) struct cursor *cursor = NULL;

		ck_assert_int_eq(cursor_open(directory, 0640, &cursor), 0);
		ck_assert_uint_eq(cursor_state(cursor)->delivered.sequence, run * 5);
		for (uint64_t i = 1; i <= 5; i++) {
			state.delivered.sequence = run * 5 + i;
			ck_assert_int_eq(cursor_write(cursor, &state), 0);
			ck_assert_uint_eq(cursor_state(cursor)->delivered.sequence, run * 5 + i);
			ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), 0);
			ck_assert_uint_eq(state.delivered.sequence, run * 5 + i);
			ck_assert_int_eq(stat(path, &st), 0);
			ck_assert_int_eq(st.st_size, CURSOR_FILE_SIZE);
			ck_assert_uint_eq(st.st_mode & 0777, 0640);
		}
	}
}
END_TEST

START_TEST(made_again_when_it_is_gone)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	_cleanup_close_ int fd = open_upload();
	struct cursor_state state;

	ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(cursor_write(cursor, &example), 0);
	ck_assert_int_eq(cursor_read(fd, CURSOR_NAME, &state), 0);
	assert_equal(&state, &example);
}
END_TEST

START_TEST(torn_at_every_byte)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_close_ int directory = open_upload();
	uint8_t before[CURSOR_FILE_SIZE], torn[CURSOR_FILE_SIZE], slot[CURSOR_SLOT_SIZE];
	struct cursor_state state = example, next = example;

	state.delivered.sequence = 100;
	next.delivered.sequence = 101;
	cursor_encode(&example, 6, before);
	cursor_encode(&state, 7, before + CURSOR_SLOT_SIZE);
	cursor_encode(&next, 8, slot);
	for (size_t n = 0; n <= 340; n++) {
		_cleanup_(cursor_freep) struct cursor *cursor = NULL;
		struct cursor_state seen;
		/* The slots differ in generation, sequence and checksum: with these on disk it is whole. */
		uint64_t expected = memcmp(slot, before, n) == 0 || n < 340 ? 100 : 101;

		memcpy(torn, before, sizeof(torn));
		memcpy(torn, slot, n);
		if (n < 340 && memcmp(torn, slot, CURSOR_SLOT_SIZE) == 0)
			expected = 101;
		bytes_write(path, torn, sizeof(torn));
		ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &seen), 0);
		ck_assert_uint_eq(seen.delivered.sequence, expected);
		ck_assert_int_eq(cursor_open(directory, 0600, &cursor), 0);
		ck_assert_uint_eq(cursor_state(cursor)->delivered.sequence, expected);
	}
}
END_TEST

START_TEST(both_slots_damaged)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, CURSOR_NAME);
	_cleanup_free_ char *aside = path_join(spool_test.upload, CURSOR_NAME ".damaged");
	_cleanup_close_ int directory = open_upload();
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	struct cursor_state state;
	struct stat st;

	text_write(path, "rubbish");
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), -EBADMSG);
	ck_assert_int_gt(cursor_open(directory, 0600, &cursor), 0);
	ck_assert_uint_eq(cursor_state(cursor)->delivered.sequence, 0);
	ck_assert_int_eq(stat(aside, &st), 0);
	ck_assert_int_eq(st.st_size, 7);
	ck_assert_int_eq(cursor_write(cursor, &example), 0);
	ck_assert_int_eq(cursor_read(directory, CURSOR_NAME, &state), 0);
	assert_equal(&state, &example);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		state_comes_back,
		the_newer_sound_slot_counts,
		a_newer_version_is_left_alone,
		leftovers_go,
		made_again_when_it_is_gone,
		written_in_turn,
		torn_at_every_byte,
		both_slots_damaged,
		version_1_is_read_and_replaced,
		version_1_sees_a_newer_version,
	};

	return spool_test_run("spool cursor", tests, ARRAY_SIZE(tests));
}
