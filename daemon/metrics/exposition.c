/* SPDX-License-Identifier: BSD-3-Clause */
/* Prometheus refuses a whole page for one byte that is not UTF-8, and names may come from anywhere. */

#include "daemon/metrics/exposition.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/plain_text.h"

#include <string.h>

void exposition_family(struct buffer *text, const char *name, const char *type, const char *help)
{
	buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_value(struct buffer *text, const char *value)
{
	while (*value) {
		size_t n = plain_text_character(value);

		if (*value == '\n') {
			buffer_append_text(text, "\\n");
		} else if (n == 0 || plain_text_is_control(value, n)) {
			buffer_append_text(text, "\xef\xbf\xbd");
			n = MAX(n, (size_t)1);
		} else {
			if (*value == '\\' || *value == '"')
				buffer_append_char(text, '\\');
			buffer_append(text, value, n);
		}
		value += n;
	}
}

static void write_name(struct buffer *text, const char *name, const struct label *labels)
{
	char before = '{';

	buffer_append_text(text, name);
	for (; labels && labels->name; labels++) {
		if (!labels->value || !*labels->value)
			continue;
		buffer_append_char(text, before);
		buffer_append_text(text, labels->name);
		buffer_append_text(text, "=\"");
		write_value(text, labels->value);
		buffer_append_char(text, '"');
		before = ',';
	}
	buffer_append_text(text, before == ',' ? "} " : " ");
}

void exposition_integer(struct buffer *text, const char *name, const struct label *labels, int64_t value)
{
	write_name(text, name, labels);
	buffer_printf(text, "%lld\n", (long long)value);
}

void exposition_number(struct buffer *text, const char *name, const struct label *labels, double value)
{
	write_name(text, name, labels);
	buffer_printf(text, "%.15g\n", value);
}
