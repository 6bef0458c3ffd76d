/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink's state file of any content: what is accepted is written back as the same values. With an odd first
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
	const uint8_t *read, *rest;
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
	if (slot > 1)
		abort();
	read = rest = file + (size_t)slot * CURSOR_SLOT_SIZE;
	/* Version 1 had more between the batch and the loss. */
	if (get_le32(read + 8) < 2)
		rest += 140;
	cursor_encode(&state, generation, again);
	/* All but the loss's reason: one that is not known is read as another. */
	if (memcmp(again + 16, read + 16, 76) != 0 || memcmp(again + 92, rest + 92, 44) != 0 ||
	    memcmp(again + 140, rest + 140, 56) != 0)
		abort();
	return 0;
}
