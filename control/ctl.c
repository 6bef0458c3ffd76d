/* SPDX-License-Identifier: BSD-3-Clause */
/* One way to print and to read for all commands, so that their errors look alike and nothing steers the
 * terminal. */

#include "control/ctl.h"

#include "common/config/error.h"
#include "common/log_id.h"
#include "control/table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The text may quote a file or the daemon: its control characters must not reach the terminal. */
_printf_(2, 0) static void print_message(struct ctl *ctl, const char *format, va_list arguments)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;

	fflush(ctl->out);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	clean = text ? text_for_terminal(text) : NULL;
	fprintf(ctl->err, "netlogctl: %s\n", clean ? clean : "out of memory");
}

void ctl_note(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(ctl, format, arguments);
	va_end(arguments);
}

int ctl_error(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(ctl, format, arguments);
	va_end(arguments);
	return CTL_FAILED;
}

int ctl_usage(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(ctl, format, arguments);
	va_end(arguments);
	fprintf(ctl->err, "Try \"netlogctl%s%s --help\".\n", ctl->command ? " " : "",
		ctl->command ? ctl->command->name : "");
	return CTL_USAGE;
}

int ctl_config_error(struct ctl *ctl, const struct config_error *error, const char *after)
{
	_cleanup_free_ char *text = config_error_text(error);

	return ctl_error(ctl, "%s%s", text ? text : "out of memory", text ? after : "");
}

void ctl_terminal_size(const struct ctl *ctl, size_t *ret_columns, size_t *ret_lines)
{
	struct winsize size = {};

	if (ctl->out_is_terminal)
		(void)ioctl(fileno(ctl->out), TIOCGWINSZ, &size);
	*ret_columns = size.ws_col;
	*ret_lines = size.ws_row;
}

int ctl_print_json(struct ctl *ctl, const json_t *value)
{
	/* A terminal gets no marks of direction and no control characters. */
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | (isatty(fileno(ctl->out)) ? JSON_ENSURE_ASCII : 0);

	if (json_dumpf(value, ctl->out, flags) < 0 || fputc('\n', ctl->out) == EOF)
		return ctl_error(ctl, "cannot write: %s", strerror(errno));
	return CTL_OK;
}

#define JSON_FILE_MAX (64 * 1024 * 1024)

struct bounded_file {
	FILE *file;
	size_t left;
};

static size_t read_bounded(void *data, size_t n, void *userdata)
{
	struct bounded_file *bounded = userdata;
	size_t got;

	if (bounded->left == 0)
		return (size_t)-1;
	got = fread(data, 1, MIN(n, bounded->left), bounded->file);
	bounded->left -= got;
	return got;
}

int ctl_read_json(struct ctl *ctl, const char *path, json_t **ret_value)
{
	bool standard_input = strcmp(path, "-") == 0;
	_cleanup_fclose_ FILE *opened = standard_input ? NULL : fopen(path, "re");
	struct bounded_file file = {.file = standard_input ? ctl->in : opened, .left = JSON_FILE_MAX};
	json_error_t error;
	json_t *value;

	if (!file.file)
		return ctl_error(ctl, "%s: %s", path, strerror(errno));
	value = json_load_callback(read_bounded, &file, JSON_REJECT_DUPLICATES, &error);
	if (!value && file.left == 0)
		return ctl_error(ctl, "%s: larger than %d MiB", path, JSON_FILE_MAX >> 20);
	if (!value)
		return ctl_error(ctl, "%s:%d:%d: %s", standard_input ? "standard input" : path, error.line,
				 error.column, error.text);
	*ret_value = value;
	return CTL_OK;
}

int ctl_read_log_id(struct ctl *ctl, const char *path, struct log_id *ret_private_id)
{
	int r = log_id_read_file(path, ret_private_id);

	if (r == -EINVAL)
		return ctl_error(ctl, "%s does not hold a private log ID (64 hex digits)", path);
	if (r == -EPERM)
		return ctl_error(ctl, "%s holds a secret and others can read it: \"chmod 600 %s\"", path,
				 path);
	return r < 0 ? ctl_error(ctl, "%s: %s", path, strerror(-r)) : CTL_OK;
}

const char *json_text(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

long long json_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

bool json_flag(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}
