/* SPDX-License-Identifier: BSD-3-Clause */
/* Scanning a JSON text in place: strict, without recursion. */

#include "common/json_scan.h"

#include <errno.h>
#include <string.h>

bool json_scan_at_end(struct json_scan *scan)
{
	json_scan_blanks(scan);
	return scan->next == scan->end;
}

static bool is_hex(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!memchr("0123456789abcdefABCDEF", p[i], 22))
			return false;
	return true;
}

/* The length of an escape after its backslash, 0 if it is malformed. */
static size_t escape_length(const char *p, const char *end)
{
	if (p == end)
		return 0;
	if (*p == 'u')
		return end - p >= 5 && is_hex(p + 1, 4) ? 5 : 0;
	return memchr("\"\\/bfnrt", *p, 8) ? 1 : 0;
}

int json_scan_string(struct json_scan *scan, struct json_slice *ret_content, bool *ret_plain)
{
	const char *p, *start;
	bool plain = true;

	if (!json_scan_char(scan, '"'))
		return -EBADMSG;
	start = p = scan->next;
	for (;; p++) {
		if (p == scan->end || (unsigned char)*p < 0x20)
			return -EBADMSG;
		if (*p == '"')
			break;
		if (*p == '\\') {
			size_t n = escape_length(p + 1, scan->end);

			if (n == 0)
				return -EBADMSG;
			p += n;
			plain = false;
		}
	}
	scan->next = p + 1;
	*ret_content = (struct json_slice){start, (size_t)(p - start)};
	*ret_plain = plain;
	return 0;
}

static inline bool is_digit(const struct json_scan *scan)
{
	return scan->next < scan->end && *scan->next >= '0' && *scan->next <= '9';
}

static inline bool next_is(const struct json_scan *scan, char c)
{
	return scan->next < scan->end && *scan->next == c;
}

int json_scan_count(struct json_scan *scan, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start;

	json_scan_blanks(scan);
	for (start = scan->next; is_digit(scan); scan->next++) {
		uint64_t digit = (uint64_t)(*scan->next - '0');

		if (value > ((uint64_t)INT64_MAX - digit) / 10)
			return -EBADMSG;
		value = value * 10 + digit;
	}
	if (scan->next == start || (*start == '0' && scan->next - start > 1))
		return -EBADMSG;
	if (next_is(scan, '.') || next_is(scan, 'e') || next_is(scan, 'E'))
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

static bool skip_digits(struct json_scan *scan)
{
	const char *start = scan->next;

	while (is_digit(scan))
		scan->next++;
	return scan->next > start;
}

static int skip_number(struct json_scan *scan)
{
	if (next_is(scan, '-'))
		scan->next++;
	if (next_is(scan, '0'))
		scan->next++;
	else if (!skip_digits(scan))
		return -EBADMSG;
	if (next_is(scan, '.')) {
		scan->next++;
		if (!skip_digits(scan))
			return -EBADMSG;
	}
	if (next_is(scan, 'e') || next_is(scan, 'E')) {
		scan->next++;
		if (next_is(scan, '+') || next_is(scan, '-'))
			scan->next++;
		if (!skip_digits(scan))
			return -EBADMSG;
	}
	return 0;
}

static int skip_word(struct json_scan *scan, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(scan->end - scan->next) < n || memcmp(scan->next, word, n) != 0)
		return -EBADMSG;
	scan->next += n;
	return 0;
}

static int skip_scalar(struct json_scan *scan)
{
	struct json_slice content;
	bool plain;

	switch (*scan->next) {
	case '"':
		return json_scan_string(scan, &content, &plain);
	case 't':
		return skip_word(scan, "true");
	case 'f':
		return skip_word(scan, "false");
	case 'n':
		return skip_word(scan, "null");
	default:
		return skip_number(scan);
	}
}

/* In an object a value's name comes first. */
static int skip_name(struct json_scan *scan)
{
	struct json_slice name;
	bool plain;
	int r;

	r = json_scan_string(scan, &name, &plain);
	if (r < 0)
		return r;
	return json_scan_char(scan, ':') ? 0 : -EBADMSG;
}

/*
 * Not recursive: the closing brackets of what is open are kept as a string. Each turn takes one scalar or one
 * opening bracket, and then all that closes after it.
 */
int json_scan_value(struct json_scan *scan, struct json_slice *ret_text)
{
	char open[JSON_SCAN_DEPTH_MAX];
	unsigned int depth = 0;
	const char *start;
	int r;

	json_scan_blanks(scan);
	start = scan->next;
	do {
		bool empty = false;

		json_scan_blanks(scan);
		if (scan->next == scan->end)
			return -EBADMSG;
		if (*scan->next == '{' || *scan->next == '[') {
			if (depth == JSON_SCAN_DEPTH_MAX)
				return -EBADMSG;
			open[depth++] = *scan->next++ == '{' ? '}' : ']';
			json_scan_blanks(scan);
			empty = next_is(scan, open[depth - 1]);
			if (!empty) {
				r = open[depth - 1] == '}' ? skip_name(scan) : 0;
				if (r < 0)
					return r;
				continue;
			}
		} else {
			r = skip_scalar(scan);
			if (r < 0)
				return r;
		}
		while (depth > 0 && json_scan_char(scan, open[depth - 1]))
			depth--;
		if (depth == 0)
			break;
		if (!json_scan_char(scan, ','))
			return -EBADMSG;
		r = open[depth - 1] == '}' ? skip_name(scan) : 0;
		if (r < 0)
			return r;
	} while (depth > 0);
	if (ret_text)
		*ret_text = (struct json_slice){start, (size_t)(scan->next - start)};
	return 0;
}

int json_scan_member(struct json_scan *scan, bool *first, struct json_slice *ret_name)
{
	bool plain;
	int r;

	if (json_scan_char(scan, '}'))
		return 0;
	if (!*first && !json_scan_char(scan, ','))
		return -EBADMSG;
	*first = false;
	r = json_scan_string(scan, ret_name, &plain);
	if (r < 0)
		return r;
	return json_scan_char(scan, ':') ? 1 : -EBADMSG;
}
