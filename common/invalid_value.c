/* SPDX-License-Identifier: BSD-3-Clause */
/* A refused value goes back to its sender and into the log: only as much as identifies it. */

#include "common/invalid_value.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

int invalid_value(const char *text, char **ret_value)
{
	size_t n = strlen(text);
	char *value;

	if (n > INVALID_VALUE_MAX) {
		n = INVALID_VALUE_MAX;
		/* Never in the middle of a character. */
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	value = strndup(text, n);
	if (!value)
		return -ENOMEM;
	*ret_value = value;
	return -EINVAL;
}

int invalid_value_json(const json_t *value, char **ret_value)
{
	_cleanup_free_ char *text = NULL;

	if (json_is_string(value))
		return invalid_value(json_string_value(value), ret_value);
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	return text ? invalid_value(text, ret_value) : -ENOMEM;
}
