/* SPDX-License-Identifier: BSD-3-Clause */
/* One list of characters, for the log, the terminal and what operators give. */

#include "common/plain_text.h"

#include <string.h>

size_t plain_text_character(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t n = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] > 0x9f) || (*c == 0xf0 && c[1] < 0x90) ||
	    (*c == 0xf4 && c[1] > 0x8f))
		return 0;
	return n;
}

bool plain_text_is_control(const char *text, size_t n)
{
	const unsigned char *c = (const unsigned char *)text;

	if (n == 1)
		return *c < 0x20 || *c == 0x7f;
	/* C1, and U+061C. */
	if (n == 2)
		return (c[0] == 0xc2 && c[1] < 0xa0) || (c[0] == 0xd8 && c[1] == 0x9c);
	if (n != 3 || c[0] != 0xe2)
		return false;
	/* U+200E and U+200F; U+2028 to U+202E; U+2066 to U+2069. */
	return (c[1] == 0x80 && ((c[2] >= 0xa8 && c[2] <= 0xae) || c[2] == 0x8e || c[2] == 0x8f)) ||
	       (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9);
}

bool plain_text_is(const char *text)
{
	while (*text) {
		size_t n = plain_text_character(text);

		if (n == 0 || plain_text_is_control(text, n))
			return false;
		text += n;
	}
	return true;
}

size_t plain_text_clean(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from) {
		size_t n = plain_text_character(from);

		if (n == 0 || plain_text_is_control(from, n)) {
			*to++ = '?';
			from += n == 0 ? 1 : n;
			continue;
		}
		memmove(to, from, n);
		to += n;
		from += n;
	}
	*to = '\0';
	return (size_t)(to - text);
}
