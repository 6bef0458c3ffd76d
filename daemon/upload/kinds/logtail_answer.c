/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/upload/kinds/logtail_answer.h"

#include "common/cleanup.h"
#include "common/json_scan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const acceptance[] = {
	"accepted",  "acknowledged", "added",	     "created",	 "delivered", "done",	"ingested",
	"ok",	     "processed",    "queued",	     "received", "saved",     "stored", "success",
	"succeeded", "successful",   "successfully", "written",	 NULL,
};
static const char *const failure[] = {
	"bad",		"cannot",      "denied",  "error",    "exception", "expired",
	"fail",		"failed",      "failure", "false",    "forbidden", "invalid",
	"missing",	"not",	       "refused", "rejected", "required",  "unauthenticated",
	"unauthorized", "unavailable", "unknown", NULL,
};

static bool is_one_of(const char *text, size_t n, const char *const words[])
{
	for (size_t i = 0; words[i]; i++)
		if (strlen(words[i]) == n && strncasecmp(words[i], text, n) == 0)
			return true;
	return false;
}

static bool has_word_of(const char *text, size_t n, const char *const words[])
{
	size_t length;

	for (size_t i = 0; i < n; i += length + 1) {
		length = 0;
		while (i + length < n && isalnum((unsigned char)text[i + length]))
			length++;
		if (is_one_of(text + i, length, words))
			return true;
	}
	return false;
}

/* ---- text ---- */

static bool is_good_text(const char *text, size_t n)
{
	bool is_word = n > 0 && isalnum((unsigned char)text[0]);

	for (size_t i = 0; i < n; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
		is_word &= text[i] != ' ';
	}
	return !has_word_of(text, n, failure) && (is_word || has_word_of(text, n, acceptance));
}

/* ---- JSON ---- */

static bool is_nothing(struct json_slice value)
{
	static const char *const words[] = {"null", "false", "0", "\"\"", NULL};
	struct json_scan inside = {.next = value.data + 1, .end = value.data + value.length - 1};

	if (is_one_of(value.data, value.length, words))
		return true;
	return (*value.data == '[' || *value.data == '{') && json_scan_at_end(&inside);
}

static bool is_no(struct json_slice value)
{
	static const char *const words[] = {"false", "0", "\"false\"", NULL};

	return is_one_of(value.data, value.length, words);
}

/* An HTTP status from 400 to 599. */
static bool is_bad_status(struct json_slice value)
{
	return value.length == 3 && (value.data[0] == '4' || value.data[0] == '5') &&
	       isdigit((unsigned char)value.data[1]) && isdigit((unsigned char)value.data[2]);
}

static bool member_fails(struct json_slice name, struct json_slice value)
{
	static const char *const errors[] = {"error",	 "errors",    "failed", "failures",
					     "rejected", "exception", NULL};
	static const char *const successes[] = {"ok",	    "success",	    "successful",
						"accepted", "acknowledged", NULL};
	static const char *const statuses[] = {"status", "statuscode", "status_code", "code", NULL};
	static const char *const texts[] = {"status", "result", "state", "message", NULL};

	if (is_one_of(name.data, name.length, errors) && !is_nothing(value))
		return true;
	if (is_one_of(name.data, name.length, successes) && is_no(value))
		return true;
	if (is_one_of(name.data, name.length, statuses) && is_bad_status(value))
		return true;
	return is_one_of(name.data, name.length, texts) && value.data[0] == '"' &&
	       has_word_of(value.data, value.length, failure);
}

/* Whether a whole JSON value says that something failed. An array does if one of its values does. */
static bool value_fails(struct json_slice text, bool is_inner)
{
	struct json_scan scan = {.next = text.data, .end = text.data + text.length};
	struct json_slice name, value;
	bool first = true;

	if (*text.data == '"')
		return has_word_of(text.data, text.length, failure);
	if (!is_inner && json_scan_char(&scan, '[')) {
		while (json_scan_value(&scan, &value) == 0) {
			if (value_fails(value, true))
				return true;
			if (!json_scan_char(&scan, ','))
				break;
		}
		return false;
	}
	if (!json_scan_char(&scan, '{'))
		return false;
	while (json_scan_member(&scan, &first, &name) > 0 && json_scan_value(&scan, &value) == 0)
		if (member_fails(name, value))
			return true;
	return false;
}

/* Values, each on a line of its own if there are several. */
static bool is_good_json(const char *body, size_t n)
{
	struct json_scan scan = {.next = body, .end = body + n};
	struct json_slice value;

	while (!json_scan_at_end(&scan)) {
		if (json_scan_value(&scan, &value) < 0 || value_fails(value, false))
			return false;
		while (scan.next < scan.end && strchr(" \t\r", *scan.next) && *scan.next)
			scan.next++;
		if (scan.next < scan.end && *scan.next != '\n')
			return false;
	}
	return true;
}

bool logtail_is_answer(const char *body, size_t n)
{
	struct json_scan scan = {.next = body, .end = body + n};

	if (json_scan_at_end(&scan))
		return true;
	while (strchr(" \t\r\n", scan.end[-1]) && scan.end[-1])
		scan.end--;
	n = (size_t)(scan.end - scan.next);
	if (*scan.next == '<')
		return false;
	if (strchr("{[\"", *scan.next) && *scan.next)
		return is_good_json(scan.next, n);
	return is_good_text(scan.next, n);
}
