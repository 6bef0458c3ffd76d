/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A spool directory of up to three segments of any content: reader, check, recovery and repair end, and
 * agree. What a reader has seen is never given to another message, and a repaired spool is sound. Each
 * segment is two bytes of length, little-endian, and so many bytes; its name is what its header says. With an
 * odd first byte the checksums are put right first.
 */

#include "common/cleanup.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "common/little_endian.h"
#include "common/spool/reader.h"
#include "common/spool/repair.h"
#include "daemon/spool/store.h"
#include "tests/fuzz/fuzz_support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#define SEGMENTS_MAX 3
/* No writer gets further, and sums don't wrap around below. */
#define SANE (UINT64_C(1) << 60)

static char directory[64];

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_directory(void)
{
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_right(uint8_t *data, size_t size)
{
	static const uint8_t magic[4] = {0xfb, 'N', 'L', 0xfe};
	size_t at = SPOOL_HEADER_SIZE;

	if (size < at)
		return;
	put_le32(data + 160, crc32c(0, data, 160));
	while (size - at >= SPOOL_FRAME_SIZE) {
		uint32_t stored = get_le32(data + at + 8);

		if (memcmp(data + at, magic, 4) != 0) {
			at++;
			continue;
		}
		/* What is written is not compressed. */
		put_le32(data + at + 4, 0);
		put_le32(data + at + 12, stored);
		put_le32(data + at + 40, crc32c(0, data + at, 40));
		at += SPOOL_FRAME_SIZE;
		if (stored > size - at)
			return;
		put_le32(data + at - 4, crc32c(crc32c(0, data + at - 44, 40), data + at, stored));
		at += stored;
	}
}

static void write_segment(int fd, const uint8_t *data, size_t size, bool right)
{
	_cleanup_free_ uint8_t *copy = malloc(size + 1);
	struct spool_header header = {.first_sequence = 1};
	char name[SPOOL_NAME_MAX];

	REQUIRE(copy != NULL);
	memcpy(copy, data, size);
	if (right)
		put_right(copy, size);
	(void)spool_header_decode(copy, size, &header);
	for (unsigned int attempt = 0; attempt < SEGMENTS_MAX; attempt++) {
		spool_name_format(header.first_sequence, attempt, name);
		if (file_create_atomic(fd, name, copy, size, 0600) != -EEXIST)
			return;
	}
}

/* The highest sequence that a reader hands out. */
static uint64_t read_all(int fd)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = NULL;
	struct spool_message message;
	struct spool_gap gap;
	uint64_t last = 0, highest = 0;
	int r;

	if (spool_reader_new(fd, &reader) < 0)
		return 0;
	while ((r = spool_reader_next(reader, &message, &gap)) > 0) {
		if (r == SPOOL_READ_NEW_SPOOL)
			last = 0;
		if (r != SPOOL_READ_MESSAGE)
			continue;
		REQUIRE(message.sequence > last);
		last = message.sequence;
		highest = MAX(highest, last);
	}
	return highest;
}

static void recover(int fd)
{
	const struct spool_writer_options options = {
		.directory = directory,
		.max_size = 64 << 20,
		.file_mode = 0600,
		.machine_id_file = "/dev/null",
		.boot_id_file = "/dev/null",
	};
	struct spool_frame frame = {.stored = 1, .length = 1};
	uint64_t highest = read_all(fd);
	char *reason = NULL;
	struct spool_store store;

	spool_store_init(&store, &options);
	if (spool_store_open(&store, &reason) == 0) {
		REQUIRE(highest > SANE || store.next_sequence > highest);
		frame.sequence = store.next_sequence;
		frame.bytes_before = store.next_bytes;
		if (frame.sequence > 0 && frame.sequence < SANE)
			REQUIRE(spool_store_begin(&store, &frame, &(struct log_id){}) == 0);
	}
	spool_store_deinit(&store);
	free(reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = -1;
	struct spool_report report;
	size_t at = 1;

	if (size < 1)
		return 0;
	snprintf(directory, sizeof(directory), "/dev/shm/netlogd-fuzz-%d", (int)getpid());
	remove_directory();
	REQUIRE(mkdir(directory, 0700) == 0);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	for (int i = 0; i < SEGMENTS_MAX && size - at >= 2; i++) {
		size_t n = MIN((size_t)(data[at] | data[at + 1] << 8), size - at - 2);

		write_segment(fd, data + at + 2, n, data[0] & 1);
		at += 2 + n;
	}
	(void)spool_check(fd, NULL, NULL, &report);
	recover(fd);
	if (spool_repair(fd, NULL, NULL, &report) == 0) {
		REQUIRE(spool_check(fd, NULL, NULL, &report) == 0);
		REQUIRE(report.damaged_segments == 0 && report.damaged_regions == 0 &&
			report.torn_tails == 0);
	}
	remove_directory();
	return 0;
}
