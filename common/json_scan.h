/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Scanning a JSON text (RFC 8259) in place, for what is read by the million: no tree, no copies. A scan is a
 * cursor; every function skips white space first and leaves the cursor after what it read, or anywhere on
 * -EBADMSG.
 *
 * Strings are handed out as written between their quotes. To unescape them, or to check that they are UTF-8,
 * give the value to jansson.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_SCAN_DEPTH_MAX 64

struct json_scan {
	const char *next;
	const char *end;
};

/* A part of the text, borrowed from its owner. */
struct json_slice {
	const char *data;
	size_t length;
};

static inline void json_scan_blanks(struct json_scan *scan)
{
	while (scan->next < scan->end &&
	       (*scan->next == ' ' || *scan->next == '\n' || *scan->next == '\t' || *scan->next == '\r'))
		scan->next++;
}

/* Takes this character if it is next. Inline: half of scanning is this. */
static inline bool json_scan_char(struct json_scan *scan, char c)
{
	if (scan->next < scan->end && *scan->next <= ' ')
		json_scan_blanks(scan);
	if (scan->next == scan->end || *scan->next != c)
		return false;
	scan->next++;
	return true;
}

/* Nothing but white space is left. */
bool json_scan_at_end(struct json_scan *scan);
/* What is between the quotes; plain: without escapes. 0 or -EBADMSG. */
int json_scan_string(struct json_scan *scan, struct json_slice *ret_content, bool *ret_plain);
/* A whole number from 0 to 2^63-1, without fraction and exponent. 0 or -EBADMSG. */
int json_scan_count(struct json_scan *scan, uint64_t *ret_value);
/* Any value, nested at most JSON_SCAN_DEPTH_MAX deep; ret_text, which may be NULL, is all of it. 0 or
 * -EBADMSG. */
int json_scan_value(struct json_scan *scan, struct json_slice *ret_text);
/*
 * The next member of an object that has been entered by taking its '{': its name, with the cursor at its
 * value. 1; 0 after the last, with the '}' taken; -EBADMSG. first is true before the first member and is set
 * to false.
 */
int json_scan_member(struct json_scan *scan, bool *first, struct json_slice *ret_name);
