/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums, headers, frames and names, byte by byte. */

#include "common/spool/format.h"

#include "common/cleanup.h"
#include "common/crc32c.h"
#include "common/little_endian.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <string.h>

START_TEST(crc32c_has_the_known_values)
{
	uint8_t data[4099];

	/* RFC 3720, B.4. */
	memset(data, 0, 32);
	ck_assert_uint_eq(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	ck_assert_uint_eq(crc32c(0, data, 32), 0x62a8ab43);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c_table(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 ^ i >> 3);
	for (size_t n = 0; n < 70; n++)
		for (size_t offset = 0; offset < 9; offset++)
			ck_assert_uint_eq(crc32c(7, data + offset, n), crc32c_table(7, data + offset, n));
	for (size_t n = 0; n < sizeof(data); n += 97)
		ck_assert_uint_eq(crc32c(crc32c(0, data, n), data + n, sizeof(data) - n),
				  crc32c_table(0, data, sizeof(data)));
}
END_TEST

static const struct spool_header example_header = {
	.size = SPOOL_HEADER_SIZE,
	.spool_id = {{1, 2, 3}},
	.previous_id = {{4, 5}},
	.machine = {6, 7},
	.public_id = {{8, 9}},
	.first_sequence = 0x1122334455667788,
	.messages_before = 10,
	.bytes_before = 11,
	.first_time = -12,
	.boot_id = {13},
};

START_TEST(header_comes_back)
{
	uint8_t data[SPOOL_HEADER_SIZE];
	struct spool_header header;

	spool_header_encode(&example_header, data);
	ck_assert_mem_eq(data, "NLSPOOL\n\x01\x00\x00\x00\xa4\x00\x00\x00\x01\x02\x03", 19);
	ck_assert_mem_eq(data + 112, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	ck_assert_int_eq(spool_header_decode(data, sizeof(data), &header), 0);
	ck_assert_mem_eq(&header, &example_header, sizeof(header));
}
END_TEST

START_TEST(header_with_any_byte_changed_is_refused)
{
	uint8_t data[SPOOL_HEADER_SIZE];
	struct spool_header header;

	spool_header_encode(&example_header, data);
	for (size_t i = 0; i < sizeof(data); i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			data[i] ^= (uint8_t)(1 << bit);
			ck_assert_int_eq(spool_header_decode(data, sizeof(data), &header), -EBADMSG);
			data[i] ^= (uint8_t)(1 << bit);
		}
		ck_assert_int_eq(spool_header_decode(data, i, &header), -EBADMSG);
	}
}
END_TEST

START_TEST(newer_version_and_larger_header)
{
	uint8_t data[200];
	struct spool_header header;

	spool_header_encode(&example_header, data);
	put_le32(data + 8, SPOOL_VERSION + 1);
	put_le32(data + 160, crc32c(0, data, 160));
	ck_assert_int_eq(spool_header_decode(data, SPOOL_HEADER_SIZE, &header), -EPROTONOSUPPORT);
	put_le32(data + 8, SPOOL_VERSION);
	put_le32(data + 12, sizeof(data));
	memset(data + 160, 0x55, sizeof(data) - 160);
	put_le32(data + 196, crc32c(0, data, 196));
	ck_assert_int_eq(spool_header_decode(data, sizeof(data), &header), 0);
	ck_assert_uint_eq(header.size, sizeof(data));
	ck_assert_uint_eq(header.bytes_before, 11);
}
END_TEST

START_TEST(frame_comes_back)
{
	const struct spool_frame frame = {
		.stored = 5, .length = 5, .sequence = 6, .time = -7, .bytes_before = 8};
	uint8_t data[SPOOL_FRAME_SIZE];
	struct spool_frame back;

	spool_frame_encode(&frame, "hello", data);
	ck_assert_mem_eq(data, "\xfbNL\xfe\0\0\0\0\5\0\0\0\5\0\0\0\6\0\0\0\0\0\0\0", 24);
	ck_assert_int_eq(spool_frame_decode(data, &back), 0);
	ck_assert_uint_eq(back.stored, 5);
	ck_assert_uint_eq(back.length, 5);
	ck_assert_uint_eq(back.sequence, 6);
	ck_assert_int_eq(back.time, -7);
	ck_assert_uint_eq(back.bytes_before, 8);
	ck_assert(spool_frame_check(&back, data, "hello"));
	ck_assert(!spool_frame_check(&back, data, "hellp"));
	for (size_t i = 0; i < 44; i++) {
		data[i] ^= 0x10;
		ck_assert_int_eq(spool_frame_decode(data, &back), -EBADMSG);
		data[i] ^= 0x10;
	}
	for (size_t i = 44; i < 48; i++) {
		data[i] ^= 0x10;
		ck_assert_int_eq(spool_frame_decode(data, &back), 0);
		ck_assert(!spool_frame_check(&back, data, "hello"));
		data[i] ^= 0x10;
	}
}
END_TEST

START_TEST(frame_search)
{
	ck_assert_uint_eq(spool_frame_search("abc", 3), 3);
	ck_assert_uint_eq(spool_frame_search("\xfb\xfbNL\xfe", 5), 1);
	ck_assert_uint_eq(spool_frame_search("xxx\xfbN", 5), 3);
	ck_assert_uint_eq(spool_frame_search("\xfbNX\xfe", 4), 4);
	ck_assert_uint_eq(spool_frame_search("", 0), 0);
}
END_TEST

START_TEST(names)
{
	char name[SPOOL_NAME_MAX];
	uint64_t first;
	unsigned int attempt;
	static const char *const wrong[] = {
		"",
		"lock",
		"0000000000000001.seg",
		"0000000000000000-0000.seg",
		"000000000000000G-0000.seg",
		"00000000000000FF-0000.seg",
		"0000000000000001-0000.sex",
		"0000000000000001-0000.seg2",
		"0000000000000001_0000.seg",
	};

	spool_name_format(0xabcdef, 0x1f, name);
	ck_assert_str_eq(name, "0000000000abcdef-001f.seg");
	ck_assert_int_eq(spool_name_parse(name, &first, &attempt), 0);
	ck_assert_uint_eq(first, 0xabcdef);
	ck_assert_uint_eq(attempt, 0x1f);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_int_eq(spool_name_parse(wrong[i], &first, &attempt), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		crc32c_has_the_known_values,
		header_comes_back,
		header_with_any_byte_changed_is_refused,
		newer_version_and_larger_header,
		frame_comes_back,
		frame_search,
		names,
	};

	return spool_test_run("spool format", tests, ARRAY_SIZE(tests));
}
