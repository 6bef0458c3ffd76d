/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The form of the configuration file, without its meaning: sections, keys and values with the lines they
 * stand in. INI as inih reads it: "key = value", comments begin with '#' or ';' (a ';' after a blank also
 * behind a value), and a line that begins with a blank goes on with the value of the line before, as a list's
 * further items.
 */

#include "common/config/config.h"

#include <stddef.h>

/* What is read and what stands in a line, in bytes; beyond is an error. */
#define CONFIG_FILE_SIZE_MAX (1024 * 1024)
#define CONFIG_LINE_MAX	     65536

struct config_entry {
	char *key;
	char *value; /* trimmed; further lines joined by "," */
	unsigned int line;
	unsigned int n_lines;
};

struct config_section {
	char *kind; /* "upload" */
	char *name; /* what follows the kind, "" if nothing does */
	unsigned int line;
	struct config_entry *entries;
	size_t n_entries;
};

struct config_sections {
	struct config_section *items;
	size_t n;
};

void config_sections_deinit(struct config_sections *sections);

/*
 * Reads the text of a file. Each section and, within it, each key is there at most once. 0; -EINVAL with the
 * error's line and reason set (its file is not touched); -ENOMEM.
 */
int config_sections_parse(const char *text, size_t size, struct config_sections *ret_sections,
			  struct config_error *ret_error);

/* Sets line and reason, once: the first error is the one that is told. Returns -EINVAL or -ENOMEM. */
int config_fail(struct config_error *error, unsigned int line, const char *format, ...) _printf_(3, 4);
