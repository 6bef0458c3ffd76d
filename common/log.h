/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The programs' own log, on standard error: lines with the journal's priority prefix ("<3>") when that is the
 * journal (JOURNAL_STREAM), else with program and level ("netlogd: warning: "). An error is logged once,
 * where its meaning is decided; library code returns errors and logs nothing above debug.
 */

#include "common/cleanup.h"

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* The one mutable global of the program: messages above this level are dropped. Default info. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error", "warning", "info", "debug"; 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

/* One line of at most 1024 bytes, written at once, from any thread; control characters, marks of
 * direction and what is not UTF-8 become '?'. */
void log_write(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
	do {                                                                                                 \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                                      \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                             \
	} while (0)
