/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of the configuration file: what every part of reading it reports. */

#include "common/config/error.h"

#include <errno.h>
#include <stdarg.h>

int config_fail(struct config_error *error, unsigned int line, const char *format, ...)
{
	va_list arguments;
	int n;

	if (error->reason)
		return -EINVAL;
	va_start(arguments, format);
	n = vasprintf(&error->reason, format, arguments);
	va_end(arguments);
	if (n < 0) {
		error->reason = NULL;
		return -ENOMEM;
	}
	error->line = line;
	return -EINVAL;
}

char *config_error_text(const struct config_error *error)
{
	const char *file = error->file ? error->file : "configuration",
		   *reason = error->reason ? error->reason : "out of memory";
	char *text;
	int n = error->line ? asprintf(&text, "%s:%u: %s", file, error->line, reason)
			    : asprintf(&text, "%s: %s", file, reason);

	return n < 0 ? NULL : text;
}

void config_error_deinit(struct config_error *error)
{
	free(error->file);
	free(error->reason);
	*error = (struct config_error){};
}
