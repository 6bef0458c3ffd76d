/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Aligned columns for people. Control characters in a cell, which could steer the terminal, are replaced, and
 * columns are aligned by visible width (UTF-8).
 */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table;

enum table_align { TABLE_LEFT, TABLE_RIGHT };
enum table_color { TABLE_PLAIN, TABLE_BOLD, TABLE_DIM, TABLE_GREEN, TABLE_YELLOW, TABLE_RED };

struct table_column {
	const char *title;
	enum table_align align;
	/* Where lines are too long, columns with the highest number are left out, then the next ones; 0:
	 * never */
	unsigned int dispensable;
	/* Where lines are still too long, its texts are shortened in the middle, to no less than this; 0: not
	 */
	unsigned int shortest;
};

/* The columns must outlive the table. 0 or -ENOMEM. */
int table_new(const struct table_column *columns, size_t n_columns, struct table **ret_table);
void table_free(struct table *table);
DEFINE_CLEANUP(struct table *, table_free);

/* The next cell; a row is full when every column has one. Errors stick until the table is printed. */
void table_cell(struct table *table, const char *format, ...) _printf_(2, 3);
void table_cell_color(struct table *table, enum table_color color, const char *format, ...) _printf_(3, 4);
/* The strings of a JSON list in one cell, separated by commas; what is not a list gives an empty one. */
void table_cell_list(struct table *table, const json_t *list);
/* A line across all columns, between rows. */
void table_heading(struct table *table, const char *format, ...) _printf_(2, 3);
size_t table_rows(const struct table *table);

/*
 * Prints everything; a column without text is left out together with its title. width: columns that a line
 * may have (0: any); what is still too long without dispensable columns, and shortened, is cut. 0 or -ENOMEM.
 */
int table_print(const struct table *table, FILE *file, bool color, size_t width);

/* Whether such a line has the column, by its number. */
bool table_shows(const struct table *table, size_t column, size_t width);

/* Text as a table prints it: no control characters, valid UTF-8. Owned by the caller; NULL: no memory. */
char *text_for_terminal(const char *text);
/* Prints such a text, in a color if color is set. */
void print_color(FILE *file, bool color, enum table_color which, const char *format, ...) _printf_(4, 5);
