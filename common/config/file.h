/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The form of the configuration file, without its meaning: sections, keys and values, with their lines. INI:
 * "[kind name]", "key = value" or "key: value"; a line that begins with '#' or ';' is a comment, and so is
 * what follows a ';' after a blank. An indented line continues the value of the line before, as further items
 * of a list.
 */

#include "common/config/error.h"

#include <stddef.h>

/* Of the file, and of a line that is not a comment, in bytes; beyond is an error. */
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
 * Reads the text of a file. Each section and, within it, each key occurs at most once. 0; -EINVAL with the
 * error's line and reason set (its file is left alone); -ENOMEM.
 */
int config_sections_parse(const char *text, size_t size, struct config_sections *ret_sections,
			  struct config_error *ret_error);
