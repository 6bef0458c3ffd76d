/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is wrong with a file that people write, and in which line. */

#include "common/cleanup.h"

/* The file and reason are owned. */
struct config_error {
	char *file;
	unsigned int line; /* 0: the file as a whole */
	char *reason;
};

/* Sets line and reason unless they are set: the first error is the one to report. Returns -EINVAL or
 * -ENOMEM. */
int config_fail(struct config_error *error, unsigned int line, const char *format, ...) _printf_(3, 4);
/* "file:line: reason", without the line for the file as a whole; owned by the caller, NULL without memory. */
char *config_error_text(const struct config_error *error);
void config_error_deinit(struct config_error *error);
