/* SPDX-License-Identifier: BSD-3-Clause */
/* The growing buffer, which doubles, and JSON strings, whose plain stretches are copied as a whole. */

#include "common/buffer.h"
#include "common/decimal.h"

#include <errno.h>
#include <stdarg.h>

#define BUFFER_MIN 256

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){};
}

void buffer_reset(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->error = 0;
}

static int grow(struct buffer *buffer, size_t n)
{
	size_t needed, allocated = buffer->allocated ? buffer->allocated : BUFFER_MIN;
	char *data;

	if (__builtin_add_overflow(buffer->length, n, &needed) || needed > SIZE_MAX / 2)
		return -ENOMEM;
	while (allocated < needed)
		allocated *= 2;
	data = realloc(buffer->data, allocated);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->allocated = allocated;
	return 0;
}

char *buffer_reserve(struct buffer *buffer, size_t n)
{
	if (buffer->error)
		return NULL;
	if (!buffer->data || n > buffer->allocated - buffer->length) {
		buffer->error = grow(buffer, n);
		if (buffer->error)
			return NULL;
	}
	return buffer->data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *data, size_t n)
{
	char *p;

	if (n == 0)
		return;
	p = buffer_reserve(buffer, n);
	if (!p)
		return;
	memcpy(p, data, n);
	buffer->length += n;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
	char *p = buffer_reserve(buffer, 1);

	if (!p)
		return;
	*p = c;
	buffer->length++;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	char *p;
	int n;

	va_start(arguments, format);
	n = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (n < 0) {
		if (!buffer->error)
			buffer->error = -ENOMEM;
		return;
	}
	p = buffer_reserve(buffer, (size_t)n + 1);
	if (!p)
		return;
	va_start(arguments, format);
	vsnprintf(p, (size_t)n + 1, format, arguments);
	va_end(arguments);
	buffer->length += (size_t)n;
}

void buffer_append_u64(struct buffer *buffer, uint64_t value)
{
	char *p = buffer_reserve(buffer, DECIMAL_TEXT_MAX);

	if (p)
		buffer->length += decimal_format(value, p);
}

char *buffer_take(struct buffer *buffer, size_t *ret_length)
{
	size_t length = buffer->length;
	char *data;

	buffer_append_char(buffer, '\0');
	if (buffer->error) {
		buffer_deinit(buffer);
		return NULL;
	}
	data = TAKE_PTR(buffer->data);
	buffer_deinit(buffer);
	if (ret_length)
		*ret_length = length;
	return data;
}

/*
 * Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7: no overlong forms, no surrogates,
 * nothing above U+10FFFF), 0 if it is malformed. Stops at the NUL, which never continues a sequence.
 */
static size_t utf8_length(const uint8_t *p)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void append_escape(struct buffer *buffer, uint8_t c)
{
	static const char hex[16] = {"0123456789abcdef"};
	char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
	case '\\':
		text[1] = (char)c;
		break;
	case '\n':
		text[1] = 'n';
		break;
	case '\r':
		text[1] = 'r';
		break;
	case '\t':
		text[1] = 't';
		break;
	default:
		buffer_append(buffer, text, 6);
		return;
	}
	buffer_append(buffer, text, 2);
}

void buffer_append_json_string(struct buffer *buffer, const char *text)
{
	const uint8_t *p = (const uint8_t *)text, *plain = p;

	buffer_append_char(buffer, '"');
	while (*p) {
		size_t n = utf8_length(p);

		if (n && *p >= 0x20 && *p != '"' && *p != '\\') {
			p += n;
			continue;
		}
		buffer_append(buffer, plain, (size_t)(p - plain));
		if (n)
			append_escape(buffer, *p);
		else
			buffer_append_text(buffer, "\xef\xbf\xbd");
		plain = ++p;
	}
	buffer_append(buffer, plain, (size_t)(p - plain));
	buffer_append_char(buffer, '"');
}
