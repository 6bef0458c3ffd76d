/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netlogctl format: finds messages in any stream of JSON, however they are wrapped: lines, arrays, bodies of
 * uploads, responses of a collector. Array brackets and commas between values are skipped, so that an array
 * of any size is read element by element; after a syntax error the rest of the line is skipped.
 */

#include "control/commands/commands.h"

#include "common/plural.h"

#include "control/message_table.h"

#include <ctype.h>

/* Moves to the start of the next value; false at the end. */
static bool skip_to_value(FILE *file)
{
	int c;

	do
		c = getc(file);
	while (c != EOF && (isspace(c) || c == ',' || c == '[' || c == ']' || c == '\0' || c == 0x1e));
	if (c == EOF)
		return false;
	ungetc(c, file);
	return true;
}

/* Gives the JSON parser one byte at a time, so that it takes none beyond its value. */
struct byte_source {
	FILE *file;
	int last;
};

static size_t read_byte(void *data, size_t n, void *userdata)
{
	struct byte_source *source = userdata;

	source->last = n > 0 ? getc(source->file) : EOF;
	if (source->last == EOF)
		return 0;
	*(char *)data = (char)source->last;
	return 1;
}

static bool is_message(const json_t *object)
{
	if (json_object_get(object, "logtail") && json_is_string(json_object_get(object, "text")))
		return true;
	return json_is_string(json_object_get(object, "start")) &&
	       json_is_string(json_object_get(object, "end")) &&
	       (json_object_get(object, "logtail") || json_object_get(object, "virtualTraffic") ||
		json_object_get(object, "subnetTraffic") || json_object_get(object, "exitTraffic") ||
		json_object_get(object, "physicalTraffic"));
}

struct format {
	struct ctl *ctl;
	struct message_style style;
	size_t n_messages;
	size_t n_bad;
};

/* Depth is bounded by the JSON parser (2048). */
static void find_messages(struct format *format, json_t *value)
{
	_cleanup_free_ char *line = NULL;
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach (value, i, item)
			find_messages(format, item);
		return;
	}
	if (!json_is_object(value))
		return;
	if (!is_message(value)) {
		json_object_foreach (value, key, item)
			find_messages(format, item);
		return;
	}
	line = json_dumps(value, JSON_COMPACT);
	format->n_messages++;
	if (!line || message_print(format->ctl, line, strlen(line), &format->style) != CTL_OK)
		format->n_bad++;
}

static void print_messages(struct format *format)
{
	struct byte_source source = {.file = format->ctl->in};

	while (skip_to_value(source.file)) {
		json_error_t error;
		json_t *value = json_load_callback(read_byte, &source,
						   JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);

		if (value) {
			find_messages(format, value);
			json_decref(value);
			continue;
		}
		if (format->n_bad++ == 0)
			ctl_note(format->ctl, "not JSON, skipped to the end of the line: %s", error.text);
		while (source.last != EOF && source.last != '\n')
			source.last = getc(source.file);
	}
}

int cmd_format(struct ctl *ctl, int argc, char **argv)
{
	struct format format = {.ctl = ctl};
	const struct ctl_option options[] = {{.name = "resolve", .flag = &format.style.resolve},
					     {.name = "details", .flag = &format.style.details}};
	int r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);

	if (r != CTL_OK)
		return r;
	print_messages(&format);
	if (ferror(ctl->in))
		return ctl_error(ctl, "cannot read standard input");
	if (format.n_bad > 0)
		return ctl_error(ctl, "%zu %s of the input could not be read", format.n_bad,
				 plural(format.n_bad, "part", "parts"));
	if (format.n_messages == 0)
		return ctl_error(ctl, "no messages on standard input");
	return CTL_OK;
}
