/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zstd as one growing frame; gzip (RFC 1952) as a sequence of members, since libdeflate compresses whole
 * pieces only, twice as fast as zlib compresses a stream.
 */

#include "daemon/upload/http/compressor.h"

#include "common/cleanup.h"
#include "common/crc32c.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <zstd.h>

#define PIECE_SIZE (256 * 1024)
#define LEVEL	   1
/* A window of 1 MiB: rows repeat soon, and this bounds the memory. */
#define WINDOW_LOG 20

struct compressor {
	enum compression method;
	ZSTD_CCtx *zstd;
	struct libdeflate_compressor *gzip;
	struct buffer piece; /* gzip: not yet compressed */
	struct buffer body;
	uint64_t length;
	uint32_t crc;
};

int compressor_new(struct compressor **ret_compressor)
{
	struct compressor *compressor = calloc(1, sizeof(*compressor));

	if (!compressor)
		return -ENOMEM;
	*ret_compressor = compressor;
	return 0;
}

void compressor_free(struct compressor *compressor)
{
	if (!compressor)
		return;
	ZSTD_freeCCtx(compressor->zstd);
	if (compressor->gzip)
		libdeflate_free_compressor(compressor->gzip);
	buffer_deinit(&compressor->piece);
	buffer_deinit(&compressor->body);
	free(compressor);
}

void compressor_begin(struct compressor *compressor, enum compression method)
{
	compressor->method = method;
	buffer_reset(&compressor->body);
	buffer_reset(&compressor->piece);
	compressor->length = 0;
	compressor->crc = 0;
	if (compressor->zstd)
		ZSTD_CCtx_reset(compressor->zstd, ZSTD_reset_session_only);
}

static int add_zstd(struct compressor *compressor, const void *data, size_t n, bool end)
{
	ZSTD_inBuffer input = {.src = data, .size = n};
	size_t left;

	if (!compressor->zstd) {
		compressor->zstd = ZSTD_createCCtx();
		if (!compressor->zstd)
			return -ENOMEM;
		ZSTD_CCtx_setParameter(compressor->zstd, ZSTD_c_compressionLevel, LEVEL);
		ZSTD_CCtx_setParameter(compressor->zstd, ZSTD_c_windowLog, WINDOW_LOG);
	}
	do {
		char *room = buffer_reserve(&compressor->body, ZSTD_CStreamOutSize());
		ZSTD_outBuffer output = {.dst = room, .size = ZSTD_CStreamOutSize()};

		if (!room)
			return -ENOMEM;
		left = ZSTD_compressStream2(compressor->zstd, &output, &input,
					    end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return -ENOMEM;
		compressor->body.length += output.pos;
	} while (input.pos < input.size || (end && left > 0));
	return 0;
}

static int gzip_piece(struct compressor *compressor)
{
	struct buffer *piece = &compressor->piece;
	size_t bound, n;
	char *room;

	if (piece->length == 0)
		return buffer_error(piece);
	if (!compressor->gzip)
		compressor->gzip = libdeflate_alloc_compressor(LEVEL);
	if (!compressor->gzip)
		return -ENOMEM;
	bound = libdeflate_gzip_compress_bound(compressor->gzip, piece->length);
	room = buffer_reserve(&compressor->body, bound);
	if (!room)
		return -ENOMEM;
	n = libdeflate_gzip_compress(compressor->gzip, piece->data, piece->length, room, bound);
	if (n == 0)
		return -ENOMEM;
	compressor->body.length += n;
	buffer_reset(piece);
	return 0;
}

static int add_gzip(struct compressor *compressor, const char *data, size_t n)
{
	while (n > 0) {
		size_t now = MIN(n, PIECE_SIZE - compressor->piece.length);
		int r = 0;

		buffer_append(&compressor->piece, data, now);
		data += now;
		n -= now;
		if (compressor->piece.length == PIECE_SIZE || buffer_error(&compressor->piece) < 0)
			r = gzip_piece(compressor);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add(struct compressor *compressor, const void *data, size_t n)
{
	switch (compressor->method) {
	case COMPRESSED_ZSTD:
		return add_zstd(compressor, data, n, false);
	case COMPRESSED_GZIP:
		return add_gzip(compressor, data, n);
	case COMPRESSED_NONE:
		buffer_append(&compressor->body, data, n);
		return buffer_error(&compressor->body);
	}
	return -EINVAL;
}

int compressor_add(struct compressor *compressor, const void *data, size_t n)
{
	compressor->length += n;
	compressor->crc = crc32c(compressor->crc, data, n);
	return add(compressor, data, n);
}

int compressor_finish(struct compressor *compressor)
{
	switch (compressor->method) {
	case COMPRESSED_ZSTD:
		return add_zstd(compressor, NULL, 0, true);
	case COMPRESSED_GZIP:
		return gzip_piece(compressor);
	case COMPRESSED_NONE:
		break;
	}
	return buffer_error(&compressor->body);
}

int compressor_convert(struct compressor *compressor, enum compression method)
{
	_cleanup_buffer_ struct buffer other = {};
	enum compression before = compressor->method;
	_cleanup_free_ char *piece = NULL;
	ZSTD_inBuffer input;
	ZSTD_DCtx *zstd;
	int r;

	if (before == method)
		return 0;
	if (before != COMPRESSED_ZSTD)
		return -EBADMSG;
	other = compressor->body;
	compressor->body = (struct buffer){};
	compressor->method = method;
	buffer_reset(&compressor->piece);
	input = (ZSTD_inBuffer){.src = other.data, .size = other.length};
	piece = malloc(PIECE_SIZE);
	zstd = ZSTD_createDCtx();
	r = piece && zstd ? 0 : -ENOMEM;
	while (r == 0 && input.pos < input.size) {
		ZSTD_outBuffer output = {.dst = piece, .size = PIECE_SIZE};

		if (ZSTD_isError(ZSTD_decompressStream(zstd, &output, &input)))
			r = -EBADMSG;
		else
			r = add(compressor, piece, output.pos);
	}
	ZSTD_freeDCtx(zstd);
	if (r == 0)
		r = compressor_finish(compressor);
	if (r < 0) {
		/* The next attempt would send part of a body as if it were whole. */
		struct buffer part = compressor->body;

		compressor->body = other;
		compressor->method = before;
		other = part;
	}
	return r;
}

const struct buffer *compressor_body(const struct compressor *compressor)
{
	return &compressor->body;
}

enum compression compressor_method(const struct compressor *compressor)
{
	return compressor->method;
}

uint64_t compressor_length(const struct compressor *compressor)
{
	return compressor->length;
}

uint32_t compressor_crc(const struct compressor *compressor)
{
	return compressor->crc;
}
