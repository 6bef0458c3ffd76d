/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment of any content: the walk that recovery, reader and check share ends, stays in the file, and hands
 * out only frames whose checksums hold, in ascending order. With an odd first byte the checksums of the rest
 * are put right first, so that what lies behind them is reached.
 */

#include "common/cleanup.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "common/little_endian.h"
#include "common/spool/scan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
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
		put_le32(data + at + 40, crc32c(0, data + at, 40));
		at += SPOOL_FRAME_SIZE;
		if (stored > size - at)
			return;
		put_le32(data + at - 4, crc32c(crc32c(0, data + at - 44, 40), data + at, stored));
		at += stored;
	}
}

struct regions {
	uint64_t end; /* of the last one */
	uint64_t n;
};

static void on_damage(uint64_t offset, uint64_t length, void *userdata)
{
	struct regions *regions = userdata;

	must(offset >= regions->end && length > 0);
	regions->end = offset + length;
	regions->n++;
}

static void walk(int fd, const struct spool_header *header, const uint8_t *data, size_t size)
{
	struct regions regions = {};
	struct spool_scan scan;
	struct spool_frame frame;
	const uint8_t *payload;
	char *buffer = NULL;
	size_t buffer_size = 0;
	uint64_t last = 0;
	int r;

	spool_scan_init(&scan, fd, header);
	scan.on_damage = on_damage;
	scan.userdata = &regions;
	while ((r = spool_scan_next(&scan, &frame, &payload)) > 0) {
		const char *message;
		uint64_t at = scan.offset - frame.stored;

		must(scan.offset <= size && frame.sequence > last &&
		     frame.sequence >= header->first_sequence);
		must(at >= SPOOL_FRAME_SIZE && memcmp(payload, data + at, frame.stored) == 0);
		must(spool_frame_check(&frame, data + at - SPOOL_FRAME_SIZE, payload));
		/* A few bytes may claim to be very long. */
		if (frame.length <= (UINT32_C(1) << 20))
			(void)spool_frame_message(&frame, payload, &buffer, &buffer_size, &message);
		last = frame.sequence;
	}
	must(r == 0 && scan.offset <= size && scan.damaged == regions.n);
	/* Asked again it says the same. */
	must(spool_scan_next(&scan, &frame, &payload) == 0);
	free(buffer);
	spool_scan_deinit(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ uint8_t *copy = NULL;
	struct spool_header header;

	if (size < 1)
		return 0;
	copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		put_right(copy, size - 1);
	if (spool_header_decode(copy, size - 1, &header) < 0)
		return 0;
	fd = memfd_create("segment", MFD_CLOEXEC);
	must(fd >= 0 && write_all(fd, copy, size - 1) == 0);
	walk(fd, &header, copy, size - 1);
	return 0;
}
