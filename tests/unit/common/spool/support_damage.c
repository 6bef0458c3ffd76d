/* SPDX-License-Identifier: BSD-3-Clause */
/* Spools of one run, damaged ones, and what readers and checks see of them. */

#include "tests/unit/common/spool/support.h"

#include "common/spool/repair.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

char *spool_test_make(uint64_t n, uint8_t **ret_data, size_t *ret_size)
{
	char *path;

	spool_test_open();
	for (uint64_t i = 1; i <= n; i++)
		spool_test_append(i, 39 + i);
	spool_test_close();
	ck_assert_uint_eq(spool_test_segments(), 1);
	path = spool_test_segment(0);
	*ret_data = bytes_read(path, ret_size);
	return path;
}

struct spool_seen spool_test_read(void)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	struct spool_seen seen = {};
	struct spool_message message;
	struct spool_gap gap;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) != SPOOL_READ_END) {
		ck_assert_int_gt(r, 0);
		if (r == SPOOL_READ_GAP) {
			seen.missing += gap.messages;
			seen.missing_bytes += gap.bytes;
			seen.damaged = seen.damaged || gap.damaged;
		} else if (r == SPOOL_READ_MESSAGE) {
			uint64_t number = spool_test_number(&message);

			ck_assert_uint_gt(number, seen.last);
			seen.last = number;
			seen.messages++;
		}
	}
	return seen;
}

struct spool_report spool_test_check(void)
{
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_report report;

	ck_assert_int_eq(spool_check(fd, NULL, NULL, &report), 0);
	return report;
}

struct spool_report spool_test_repair(void)
{
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_report report;

	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), 0);
	return report;
}

void spool_test_keep(const char *path)
{
	for (size_t i = spool_test_segments(); i > 0; i--) {
		_cleanup_free_ char *other = spool_test_segment(i - 1);

		if (strcmp(other, path) != 0)
			ck_assert_int_eq(unlink(other), 0);
	}
}

void spool_test_damage(void)
{
	uint64_t n = 10;
	uint8_t *data;
	size_t size;
	char *path = spool_test_make(n, &data, &size);

	/* The frame headers of messages 3 and 4, and the payload of 7. */
	for (uint64_t i = 1, at = SPOOL_HEADER_SIZE; i <= n; at += SPOOL_FRAME_SIZE + 39 + i, i++) {
		if (i == 3 || i == 4)
			data[at + 9] ^= 1;
		if (i == 7)
			data[at + SPOOL_FRAME_SIZE + 20] ^= 1;
	}
	bytes_write(path, data, size);
	free(data);
	free(path);
}
