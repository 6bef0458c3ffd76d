/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A growing byte buffer, and JSON strings written straight into it: messages are encoded without a tree in
 * between. Errors stick: after a failed allocation further writes do nothing, and buffer_error() reports it
 * at the end.
 */

#include "common/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
	char *data;
	size_t length;
	size_t allocated;
	int error; /* 0 or -ENOMEM */
};

void buffer_deinit(struct buffer *buffer);
#define _cleanup_buffer_ _cleanup_(buffer_deinit)

/* Empties it and clears the error; memory is kept for the next use. */
void buffer_reset(struct buffer *buffer);
static inline int buffer_error(const struct buffer *buffer)
{
	return buffer->error;
}

/* Makes room for n more bytes and returns where they begin, or NULL. The caller adds what it wrote to
 * length. */
char *buffer_reserve(struct buffer *buffer, size_t n);
void buffer_append(struct buffer *buffer, const void *data, size_t n);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) _printf_(2, 3);
/* Decimal text of a number. */
void buffer_append_u64(struct buffer *buffer, uint64_t value);
/* Hands out the data, NUL-terminated, and leaves the buffer empty; NULL after an error. */
char *buffer_take(struct buffer *buffer, size_t *ret_length);

/*
 * Writes a JSON string with its quotes (RFC 8259): control characters, quote and backslash escaped, bytes
 * that are not UTF-8 replaced by U+FFFD.
 */
void buffer_append_json_string(struct buffer *buffer, const char *text);
