/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A body that is compressed while it is built, so that only the small form is ever held: the rows made of a
 * message are many times its size.
 */

#include "common/buffer.h"

#include <stddef.h>
#include <stdint.h>

enum compression { COMPRESSED_ZSTD, COMPRESSED_GZIP, COMPRESSED_NONE };

struct compressor;

/* No body yet. 0 or -ENOMEM. */
int compressor_new(struct compressor **ret_compressor);
void compressor_free(struct compressor *compressor);

/* Starts an empty body. */
void compressor_begin(struct compressor *compressor, enum compression method);
/* 0 or -ENOMEM; after an error only compressor_begin() is allowed. */
int compressor_add(struct compressor *compressor, const void *data, size_t n);
/* Ends the body; nothing more can be added. 0 or -ENOMEM. */
int compressor_finish(struct compressor *compressor);
/* Compresses a finished body by another method. 0, -ENOMEM, or -EBADMSG if it can't be decompressed. */
int compressor_convert(struct compressor *compressor, enum compression method);

/* The body as it is sent. */
const struct buffer *compressor_body(const struct compressor *compressor);
enum compression compressor_method(const struct compressor *compressor);
/* Of the uncompressed body: its length, and its CRC32C. */
uint64_t compressor_length(const struct compressor *compressor);
uint32_t compressor_crc(const struct compressor *compressor);
