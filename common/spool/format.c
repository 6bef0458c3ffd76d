/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers and frames to and from bytes, field by field; the layout is in the header file. */

#include "common/spool/format.h"

#include "common/crc32c.h"
#include "common/little_endian.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t header_magic[8] = {'N', 'L', 'S', 'P', 'O', 'O', 'L', '\n'};
static const uint8_t frame_magic[4] = {0xfb, 'N', 'L', 0xfe};

void spool_header_encode(const struct spool_header *header, uint8_t ret_data[static SPOOL_HEADER_SIZE])
{
	memcpy(ret_data, header_magic, sizeof(header_magic));
	put_le32(ret_data + 8, SPOOL_VERSION);
	put_le32(ret_data + 12, SPOOL_HEADER_SIZE);
	memcpy(ret_data + 16, header->spool_id.bytes, 16);
	memcpy(ret_data + 32, header->previous_id.bytes, 16);
	memcpy(ret_data + 48, header->machine, 32);
	memcpy(ret_data + 80, header->public_id.bytes, 32);
	put_le64(ret_data + 112, header->first_sequence);
	put_le64(ret_data + 120, header->messages_before);
	put_le64(ret_data + 128, header->bytes_before);
	put_le64(ret_data + 136, (uint64_t)header->first_time);
	memcpy(ret_data + 144, header->boot_id, 16);
	put_le32(ret_data + 160, crc32c(0, ret_data, 160));
}

int spool_header_decode(const uint8_t *data, size_t n, struct spool_header *ret_header)
{
	struct spool_header header = {};

	if (n < SPOOL_HEADER_SIZE || memcmp(data, header_magic, sizeof(header_magic)) != 0)
		return -EBADMSG;
	header.size = get_le32(data + 12);
	if (header.size < SPOOL_HEADER_SIZE || header.size > SPOOL_HEADER_SIZE_MAX || header.size > n)
		return -EBADMSG;
	if (get_le32(data + header.size - 4) != crc32c(0, data, header.size - 4))
		return -EBADMSG;
	/* Only now: a flipped bit in the version must not look like a newer program's file. */
	if (get_le32(data + 8) > SPOOL_VERSION)
		return -EPROTONOSUPPORT;
	memcpy(header.spool_id.bytes, data + 16, 16);
	memcpy(header.previous_id.bytes, data + 32, 16);
	memcpy(header.machine, data + 48, 32);
	memcpy(header.public_id.bytes, data + 80, 32);
	header.first_sequence = get_le64(data + 112);
	header.messages_before = get_le64(data + 120);
	header.bytes_before = get_le64(data + 128);
	header.first_time = (int64_t)get_le64(data + 136);
	memcpy(header.boot_id, data + 144, 16);
	if (header.first_sequence == 0)
		return -EBADMSG;
	*ret_header = header;
	return 0;
}

static uint32_t frame_checksum(const uint8_t *data, const void *payload, size_t n)
{
	return crc32c(crc32c(0, data + 4, 40), payload, n);
}

void spool_frame_encode(const struct spool_frame *frame, const void *payload,
			uint8_t ret_data[static SPOOL_FRAME_SIZE])
{
	memcpy(ret_data, frame_magic, sizeof(frame_magic));
	put_le32(ret_data + 4, frame->flags);
	put_le32(ret_data + 8, frame->stored);
	put_le32(ret_data + 12, frame->length);
	put_le64(ret_data + 16, frame->sequence);
	put_le64(ret_data + 24, (uint64_t)frame->time);
	put_le64(ret_data + 32, frame->bytes_before);
	put_le32(ret_data + 40, crc32c(0, ret_data, 40));
	put_le32(ret_data + 44, frame_checksum(ret_data, payload, frame->stored));
}

int spool_frame_decode(const uint8_t data[static SPOOL_FRAME_SIZE], struct spool_frame *ret_frame)
{
	struct spool_frame frame;

	if (memcmp(data, frame_magic, sizeof(frame_magic)) != 0)
		return -EBADMSG;
	if (get_le32(data + 40) != crc32c(0, data, 40))
		return -EBADMSG;
	frame = (struct spool_frame){
		.flags = get_le32(data + 4),
		.stored = get_le32(data + 8),
		.length = get_le32(data + 12),
		.sequence = get_le64(data + 16),
		.time = (int64_t)get_le64(data + 24),
		.bytes_before = get_le64(data + 32),
		.checksum = get_le32(data + 44),
	};
	if (frame.flags & ~SPOOL_FRAME_ZSTD || frame.stored > SPOOL_MESSAGE_MAX ||
	    frame.length > SPOOL_MESSAGE_MAX || frame.sequence == 0)
		return -EBADMSG;
	if (!(frame.flags & SPOOL_FRAME_ZSTD) && frame.stored != frame.length)
		return -EBADMSG;
	*ret_frame = frame;
	return 0;
}

bool spool_frame_check(const struct spool_frame *frame, const uint8_t data[static SPOOL_FRAME_SIZE],
		       const void *payload)
{
	return frame->checksum == frame_checksum(data, payload, frame->stored);
}

size_t spool_frame_search(const void *data, size_t n)
{
	const uint8_t *begin = data, *p = data;

	while ((p = memchr(p, frame_magic[0], n - (size_t)(p - begin)))) {
		size_t left = n - (size_t)(p - begin);

		if (memcmp(p, frame_magic, left < sizeof(frame_magic) ? left : sizeof(frame_magic)) == 0)
			return (size_t)(p - begin);
		p++;
	}
	return n;
}

bool spool_id_is_zero(const struct spool_id *id)
{
	return spool_id_equal(id, &(struct spool_id){});
}

bool spool_id_equal(const struct spool_id *a, const struct spool_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void spool_id_format(const struct spool_id *id, char ret_text[static SPOOL_ID_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SPOOL_ID_SIZE; i++) {
		ret_text[2 * i] = digits[id->bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[id->bytes[i] & 15];
	}
	ret_text[2 * SPOOL_ID_SIZE] = '\0';
}

void spool_name_format(uint64_t first_sequence, unsigned int attempt, char ret_name[static SPOOL_NAME_MAX])
{
	snprintf(ret_name, SPOOL_NAME_MAX, "%016llx-%04x.seg", (unsigned long long)first_sequence,
		 attempt & 0xffff);
}

static int parse_hex_number(const char *text, size_t n, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret_value = value;
	return 0;
}

int spool_name_parse(const char *name, uint64_t *ret_first_sequence, unsigned int *ret_attempt)
{
	uint64_t first, attempt;

	if (strlen(name) != SPOOL_NAME_MAX - 1 || name[16] != '-' || strcmp(name + 21, ".seg") != 0)
		return -EINVAL;
	if (parse_hex_number(name, 16, &first) < 0 || parse_hex_number(name + 17, 4, &attempt) < 0 ||
	    first == 0)
		return -EINVAL;
	*ret_first_sequence = first;
	*ret_attempt = (unsigned int)attempt;
	return 0;
}
