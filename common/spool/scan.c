/* SPDX-License-Identifier: BSD-3-Clause */
/* The only way to read a segment's frames, so that recovery, reader and check can't disagree about what is
 * damaged. */

#include "common/spool/scan.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>
#include <zstd_errors.h>

#define READ_SIZE ((size_t)64 << 10)

void spool_scan_init(struct spool_scan *scan, int fd, const struct spool_header *header)
{
	*scan = (struct spool_scan){
		.fd = fd,
		.header = *header,
		.offset = header->size,
		.expected = header->first_sequence,
		.end_bytes = header->bytes_before,
	};
}

void spool_scan_deinit(struct spool_scan *scan)
{
	free(scan->buffer);
	scan->buffer = NULL;
	scan->allocated = scan->buffer_length = 0;
}

uint64_t spool_messages_before(const struct spool_header *header, uint64_t sequence)
{
	return header->messages_before + (sequence - header->first_sequence);
}

static void forget(struct spool_scan *scan)
{
	scan->buffer_length = 0;
}

/* 1; 0 when the file does not reach that far anyway, since a length may claim anything; -errno. */
static int make_room(struct spool_scan *scan, uint64_t offset, size_t n)
{
	size_t allocated = MAX(n, READ_SIZE);
	uint8_t *buffer;
	struct stat st;

	if (scan->allocated >= n)
		return 1;
	if (n > READ_SIZE) {
		if (fstat(scan->fd, &st) < 0)
			return -errno;
		if (offset + n > (uint64_t)st.st_size)
			return 0;
	}
	buffer = realloc(scan->buffer, allocated);
	if (!buffer)
		return -ENOMEM;
	scan->buffer = buffer;
	scan->allocated = allocated;
	return 1;
}

/* The bytes at an offset that fill() has read. */
static const uint8_t *bytes_at(const struct spool_scan *scan, uint64_t offset)
{
	return scan->buffer + (offset - scan->buffer_offset);
}

/*
 * Reads the n bytes at an offset into the buffer, as far as the file has them. Returns how many are there: at
 * least n, or fewer at the end of the file; or -errno.
 */
static ssize_t fill(struct spool_scan *scan, uint64_t offset, size_t n)
{
	size_t have = 0;
	int r;

	if (offset >= scan->buffer_offset && offset - scan->buffer_offset <= scan->buffer_length)
		have = scan->buffer_length - (size_t)(offset - scan->buffer_offset);
	if (have < n) {
		size_t old = scan->buffer_length - have;

		r = make_room(scan, offset, n);
		if (r <= 0)
			return r;
		if (have > 0)
			memmove(scan->buffer, scan->buffer + old, have);
		scan->buffer_offset = offset;
		scan->buffer_length = have;
	}
	while (have < n) {
		ssize_t got =
			pread(scan->fd, scan->buffer + have, scan->allocated - have, (off_t)(offset + have));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			forget(scan);
			return -errno;
		}
		if (got == 0)
			break;
		have += (size_t)got;
		scan->buffer_length = have;
	}
	return (ssize_t)have;
}

/* Whether a sound frame header fits the sequences before it. */
static bool plausible(const struct spool_scan *scan, const struct spool_frame *frame, uint64_t offset)
{
	uint64_t skipped = frame->sequence - scan->expected;

	/* No sequence could follow the highest: no writer gets there. */
	if (frame->sequence < scan->expected || frame->sequence == UINT64_MAX)
		return false;
	if (offset == scan->offset && !scan->resync)
		return skipped == 0;
	/* Each missing frame took at least the bytes of a frame header. */
	return skipped <= (offset - scan->header.size) / SPOOL_FRAME_SIZE + 1;
}

static void damage(struct spool_scan *scan, uint64_t length)
{
	scan->damaged++;
	if (scan->on_damage)
		scan->on_damage(scan->offset, length, scan->userdata);
	scan->offset += length;
	scan->resync = true;
}

/*
 * Moves to the next sound frame header behind bytes that are not a frame. 1; 0 when there is none yet, and
 * what was searched is not searched again; -errno.
 */
static int search(struct spool_scan *scan)
{
	uint64_t at = MAX(scan->offset + 1, scan->searched);

	for (;;) {
		ssize_t n = fill(scan, at, SPOOL_FRAME_SIZE);
		struct spool_frame frame;
		const uint8_t *data;
		size_t skip;

		if (n < 0)
			return (int)n;
		if (n < SPOOL_FRAME_SIZE) {
			scan->searched = at;
			return 0;
		}
		data = bytes_at(scan, at);
		skip = spool_frame_search(data, (size_t)n);
		if (skip > 0) {
			at += skip;
			continue;
		}
		if (spool_frame_decode(data, &frame) == 0 && plausible(scan, &frame, at)) {
			damage(scan, at - scan->offset);
			return 1;
		}
		at++;
	}
}

/* 1 when the frame at the offset is whole and sound, 2 when it was damaged and skipped, 0 when it is not all
 * there; -errno. */
static int check_frame(struct spool_scan *scan, struct spool_frame *frame)
{
	size_t size = SPOOL_FRAME_SIZE + (size_t)frame->stored;
	const uint8_t *data;

	for (int attempt = 0; attempt < 2; attempt++) {
		ssize_t n = fill(scan, scan->offset, size);

		if (n < 0)
			return (int)n;
		if ((size_t)n < size)
			return 0;
		data = bytes_at(scan, scan->offset);
		if (spool_frame_check(frame, data, data + SPOOL_FRAME_SIZE))
			return 1;
		/* Between two reads the writer may have cut off a partial frame and written another. */
		forget(scan);
		n = fill(scan, scan->offset, SPOOL_FRAME_SIZE);
		if (n < 0)
			return (int)n;
		if (n < SPOOL_FRAME_SIZE || spool_frame_decode(bytes_at(scan, scan->offset), frame) < 0 ||
		    !plausible(scan, frame, scan->offset))
			return 0;
		size = SPOOL_FRAME_SIZE + (size_t)frame->stored;
	}
	/* The header is sound, so exactly one message is missing, and its length is known. */
	damage(scan, size);
	scan->expected = frame->sequence + 1;
	scan->end_bytes = frame->bytes_before + frame->length;
	return 2;
}

int spool_scan_next(struct spool_scan *scan, struct spool_frame *ret_frame, const uint8_t **ret_payload)
{
	for (;;) {
		ssize_t n = fill(scan, scan->offset, SPOOL_FRAME_SIZE);
		struct spool_frame frame;
		int r;

		if (n < 0)
			return (int)n;
		if (n < SPOOL_FRAME_SIZE) {
			forget(scan);
			return 0;
		}
		if (spool_frame_decode(bytes_at(scan, scan->offset), &frame) < 0 ||
		    !plausible(scan, &frame, scan->offset)) {
			r = search(scan);
			if (r > 0)
				continue;
			forget(scan);
			return r;
		}
		r = check_frame(scan, &frame);
		if (r < 0)
			return r;
		if (r == 0) {
			/* What is there now may be cut off and written again. */
			forget(scan);
			return 0;
		}
		if (r == 2)
			continue;
		*ret_payload = bytes_at(scan, scan->offset) + SPOOL_FRAME_SIZE;
		scan->offset += SPOOL_FRAME_SIZE + (uint64_t)frame.stored;
		scan->expected = frame.sequence + 1;
		scan->end_bytes = frame.bytes_before + frame.length;
		scan->resync = false;
		*ret_frame = frame;
		return 1;
	}
}

int spool_frame_message(const struct spool_frame *frame, const uint8_t *payload, char **buffer,
			size_t *buffer_size, const char **ret_message)
{
	size_t n;

	if (!(frame->flags & SPOOL_FRAME_ZSTD)) {
		*ret_message = (const char *)payload;
		return 0;
	}
	if (*buffer_size < frame->length || !*buffer) {
		char *larger = realloc(*buffer, MAX(frame->length, 1U));

		if (!larger)
			return -ENOMEM;
		*buffer = larger;
		*buffer_size = frame->length;
	}
	n = ZSTD_decompress(*buffer, *buffer_size, payload, frame->stored);
	/* Out of memory is not damage: it can be read later. */
	if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return -ENOMEM;
	if (ZSTD_isError(n) || n != frame->length)
		return -EBADMSG;
	*ret_message = *buffer;
	return 0;
}
