/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the suites of common/config/. */

#include "tests/unit/common/config/support.h"

#include <errno.h>
#include <string.h>

struct config *parse_config(const char *text)
{
	struct config_error error = {};
	struct config *config = NULL;
	int r = config_parse("test.conf", text, strlen(text), &config, &error);

	ck_assert_msg(r == 0, "%s:%u: %s", error.file, error.line, error.reason);
	ck_assert_ptr_null(error.reason);
	return config;
}

void assert_prefixes(const struct prefix_list *list, const char *expected)
{
	char text[1000] = "", item[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < list->n; i++) {
		prefix_format(&list->items[i], item);
		if (i > 0)
			strcat(text, " ");
		strcat(text, item);
	}
	ck_assert_str_eq(text, expected);
}

void assert_error(const char *text, size_t size, unsigned int line, const char *reason)
{
	static struct config untouched;
	struct config *config = &untouched;
	struct config_error error;

	ck_assert_int_eq(config_parse("test.conf", text, size, &config, &error), -EINVAL);
	ck_assert_ptr_eq(config, &untouched);
	ck_assert_str_eq(error.file, "test.conf");
	ck_assert_str_eq(error.reason, reason);
	ck_assert_uint_eq(error.line, line);
	config_error_deinit(&error);
	ck_assert_ptr_null(error.reason);
}
