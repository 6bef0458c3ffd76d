/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/upload/kinds/logtail_answer.h"

#include "common/json_scan.h"

#include <ctype.h>
#include <string.h>

/* {"error":"what went wrong"}: the service sends this with another status, a gateway may change that. */
static bool has_error(const char *body, size_t n)
{
	struct json_scan scan = {.next = body, .end = body + n};
	struct json_slice name, value;
	bool first = true;

	if (!json_scan_char(&scan, '{'))
		return false;
	while (json_scan_member(&scan, &first, &name) > 0) {
		if (json_scan_value(&scan, &value) < 0)
			return false;
		if (name.length == 5 && memcmp(name.data, "error", 5) == 0 && value.length > 2 &&
		    value.data[0] == '"')
			return true;
	}
	return false;
}

static bool is_word(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return n > 0 && isalnum((unsigned char)text[0]);
}

bool logtail_is_answer(const char *body, size_t n)
{
	struct json_scan scan = {.next = body, .end = body + n};

	if (json_scan_at_end(&scan))
		return true;
	if (json_scan_value(&scan, NULL) == 0 && json_scan_at_end(&scan))
		return !has_error(body, n);
	for (scan.next = body; scan.end[-1] == '\n' || scan.end[-1] == '\r' || scan.end[-1] == ' ';)
		scan.end--;
	json_scan_blanks(&scan);
	return is_word(scan.next, (size_t)(scan.end - scan.next));
}
