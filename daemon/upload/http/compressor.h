/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A body that is compressed while it is made, so that only the small form of it is ever held: rows of a
 * database are made of a message and are many times its size.
 */

#include "common/buffer.h"

#include <stddef.h>
#include <stdint.h>

enum compression { COMPRESSED_ZSTD, COMPRESSED_GZIP, COMPRESSED_NONE };

struct compressor;

/* Nothing has begun yet. 0 or -ENOMEM. */
int compressor_new(struct compressor **ret_compressor);
void compressor_free(struct compressor *compressor);

/* Begins an empty body. */
void compressor_begin(struct compressor *compressor, enum compression method);
/* 0 or -ENOMEM; after that only compressor_begin() is of use. */
int compressor_add(struct compressor *compressor, const void *data, size_t n);
/* Ends the body; nothing can be added any more. 0 or -ENOMEM. */
int compressor_finish(struct compressor *compressor);
/* Makes another form of a finished body. 0, -ENOMEM, or -EBADMSG when it can't be read back. */
int compressor_convert(struct compressor *compressor, enum compression method);

/* The body as it is to be sent. */
const struct buffer *compressor_body(const struct compressor *compressor);
enum compression compressor_method(const struct compressor *compressor);
/* Of what was added: bytes, and the CRC32C of them all. */
uint64_t compressor_length(const struct compressor *compressor);
uint32_t compressor_crc(const struct compressor *compressor);
