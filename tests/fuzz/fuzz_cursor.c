/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink's state file of any content: what is accepted is written back as the same bytes. With an odd first
 * byte the checksums are put right first. */

#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/spool/cursor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t file[CURSOR_FILE_SIZE] = {}, again[CURSOR_SLOT_SIZE];
	struct cursor_state state;
	uint64_t generation;
	unsigned int slot;
	size_t n;

	if (size < 1)
		return 0;
	n = MIN(size - 1, sizeof(file));
	memcpy(file, data + 1, n);
	for (size_t at = 0; data[0] & 1 && at < sizeof(file); at += CURSOR_SLOT_SIZE) {
		uint32_t length = get_le32(file + at + 12);

		if (length >= 4 && length <= CURSOR_SLOT_SIZE)
			put_le32(file + at + length - 4, crc32c(0, file + at, length - 4));
	}
	if (cursor_decode(file, n, &state, &generation, &slot) < 0)
		return 0;
	/* Up to the token, which ends at its first NUL. */
	cursor_encode(&state, generation, again);
	if (slot > 1 || memcmp(again + 16, file + (size_t)slot * CURSOR_SLOT_SIZE + 16, 88) != 0)
		abort();
	return 0;
}
