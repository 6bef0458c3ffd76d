/* SPDX-License-Identifier: BSD-3-Clause */
/* Cells are kept as text until all rows are there: only then are the widths known. */

#include "control/table.h"

#include "common/plain_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

struct cell {
	char *text;
	enum table_color color;
	bool heading; /* stands alone in its line */
};

struct table {
	const struct table_column *columns;
	size_t n_columns;
	struct cell *cells;
	size_t n_cells, allocated;
	size_t n_rows;
	size_t in_row; /* cells of the row under way */
	int error;
};

int table_new(const struct table_column *columns, size_t n_columns, struct table **ret_table)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->columns = columns;
	table->n_columns = n_columns;
	*ret_table = table;
	return 0;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

char *text_for_terminal(const char *text)
{
	char *clean = strdup(text);

	if (clean)
		plain_text_clean(clean);
	return clean;
}

/*
 * Columns that the character at text takes: two for most East Asian ones and emoji, none for combining ones.
 * One if the locale does not know it.
 */
static size_t character_width(const char *text, size_t n)
{
	static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	const unsigned char *c = (const unsigned char *)text;
	wchar_t character = c[0] & lead[n];
	int width;

	for (size_t i = 1; i < n; i++)
		character = character << 6 | (c[i] & 0x3f);
	width = wcwidth(character);
	return width < 0 ? 1 : (size_t)width;
}

static size_t text_width(const char *text)
{
	size_t width = 0, n;

	for (; *text; text += n) {
		n = plain_text_character(text);
		width += character_width(text, n);
	}
	return width;
}

/* A heading takes a whole line; a cell counts towards its row even if there is no memory for it. */
_printf_(4, 0) static void add_cell(struct table *table, enum table_color color, bool heading,
				    const char *format, va_list arguments)
{
	_cleanup_free_ char *text = NULL;
	struct cell *cells;

	if (!heading)
		table->in_row = (table->in_row + 1) % table->n_columns;
	table->n_rows += heading || table->in_row == 0;
	if (table->n_cells == table->allocated) {
		size_t more = table->allocated ? table->allocated * 2 : 64;

		cells = reallocarray(table->cells, more, sizeof(*cells));
		if (!cells) {
			table->error = -ENOMEM;
			return;
		}
		table->cells = cells;
		table->allocated = more;
	}
	if (vasprintf(&text, format, arguments) < 0) {
		text = NULL;
		table->error = -ENOMEM;
		return;
	}
	table->cells[table->n_cells] = (struct cell){text_for_terminal(text), color, heading};
	if (!table->cells[table->n_cells].text)
		table->error = -ENOMEM;
	else
		table->n_cells++;
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_cell(table, TABLE_PLAIN, false, format, arguments);
	va_end(arguments);
}

void table_cell_color(struct table *table, enum table_color color, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_cell(table, color, false, format, arguments);
	va_end(arguments);
}

void table_cell_list(struct table *table, const json_t *list)
{
	_cleanup_free_ char *text = strdup("");
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		char *longer;

		if (!json_is_string(item) || !text ||
		    asprintf(&longer, "%s%s%s", text, i > 0 ? ", " : "", json_string_value(item)) < 0)
			break;
		free(text);
		text = longer;
	}
	table_cell(table, "%s", text ? text : "");
}

void table_heading(struct table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_cell(table, TABLE_BOLD, true, format, arguments);
	va_end(arguments);
}

size_t table_rows(const struct table *table)
{
	return table->n_rows;
}

static const char *const color_codes[] = {
	[TABLE_PLAIN] = "",	    [TABLE_BOLD] = "\033[1m",	 [TABLE_DIM] = "\033[2m",
	[TABLE_GREEN] = "\033[32m", [TABLE_YELLOW] = "\033[33m", [TABLE_RED] = "\033[31m",
};

/* A line under way, which is cut at the terminal's edge. */
struct line {
	FILE *file;
	bool color;
	size_t left;   /* columns */
	size_t blanks; /* not printed unless something follows */
};

static void print_text(struct line *line, const char *text, enum table_color color)
{
	size_t n = 0;

	if (*text == '\0')
		return;
	/* Beyond the edge nothing is printed, not even blanks. */
	if (line->blanks >= line->left)
		line->left = 0;
	if (line->left == 0)
		return;
	fprintf(line->file, "%*s", (int)line->blanks, "");
	line->left -= line->blanks;
	line->blanks = 0;
	if (line->color && color != TABLE_PLAIN)
		fputs(color_codes[color], line->file);
	while (text[n]) {
		size_t size = plain_text_character(text + n), width = character_width(text + n, size);

		if (width > line->left) {
			line->left = 0;
			break;
		}
		n += size;
		line->left -= width;
	}
	fwrite(text, 1, n, line->file);
	if (line->color && color != TABLE_PLAIN)
		fputs("\033[0m", line->file);
}

/* Begin and end of a text that is wider than that, with a mark between them. NULL: no memory. */
static char *shorten(const char *text, size_t width)
{
	size_t head = 0, left = text_width(text), room = width / 2, n;
	const char *tail = text;
	char *shorter;

	while (text[head]) {
		size_t size = plain_text_character(text + head), columns = character_width(text + head, size);

		if (columns > room)
			break;
		room -= columns;
		head += size;
	}
	for (; *tail && left > width - 1 - width / 2; tail += n) {
		n = plain_text_character(tail);
		left -= character_width(tail, n);
	}
	return asprintf(&shorter, "%.*s\u2026%s", (int)head, text, tail) < 0 ? NULL : shorter;
}

static void print_cell(struct line *line, const char *text, enum table_color color, size_t width,
		       enum table_align align)
{
	_cleanup_free_ char *shorter = text_width(text) > width ? shorten(text, width) : NULL;
	size_t pad;

	if (shorter)
		text = shorter;
	pad = width - MIN(width, text_width(text));

	if (align == TABLE_RIGHT)
		line->blanks += pad;
	print_text(line, text, color);
	if (align == TABLE_LEFT)
		line->blanks += pad;
	line->blanks += 2;
}

static void measure(const struct table *table, size_t *widths)
{
	size_t column = 0;

	for (size_t i = 0; i < table->n_cells; i++) {
		if (table->cells[i].heading)
			continue;
		widths[column] = MAX(widths[column], text_width(table->cells[i].text));
		column = (column + 1) % table->n_columns;
	}
	for (size_t i = 0; i < table->n_columns; i++)
		if (widths[i] > 0)
			widths[i] = MAX(widths[i], text_width(table->columns[i].title));
}

/* Takes from the widest column that may be narrower, and so on. */
static void make_narrow(const struct table *table, size_t *widths, size_t excess)
{
	while (excess > 0) {
		size_t widest = table->n_columns;

		for (size_t i = 0; i < table->n_columns; i++)
			if (table->columns[i].shortest > 0 && widths[i] > table->columns[i].shortest &&
			    (widest == table->n_columns || widths[i] > widths[widest]))
				widest = i;
		if (widest == table->n_columns)
			return;
		widths[widest]--;
		excess--;
	}
}

/* Leaves out columns until the rest fits, shortened if need be. */
static void make_fit(const struct table *table, size_t *widths, size_t room)
{
	for (;;) {
		unsigned int most = 0;
		size_t width = 0;

		for (size_t i = 0; i < table->n_columns; i++) {
			if (widths[i] == 0)
				continue;
			width += (width > 0 ? 2 : 0) + widths[i];
			most = MAX(most, table->columns[i].dispensable);
		}
		if (width > room && most == 0)
			make_narrow(table, widths, width - room);
		if (width <= room || most == 0)
			return;
		for (size_t i = 0; i < table->n_columns; i++)
			if (table->columns[i].dispensable == most)
				widths[i] = 0;
	}
}

bool table_shows(const struct table *table, size_t column, size_t width)
{
	_cleanup_free_ size_t *widths = calloc(table->n_columns, sizeof(*widths));

	if (!widths)
		return false;
	measure(table, widths);
	make_fit(table, widths, width > 0 ? width : SIZE_MAX);
	return widths[column] > 0;
}

int table_print(const struct table *table, FILE *file, bool color, size_t width)
{
	const struct line fresh = {.file = file, .color = color, .left = width > 0 ? width : SIZE_MAX};
	_cleanup_free_ size_t *widths = calloc(table->n_columns, sizeof(*widths));
	struct line line = fresh;
	size_t column = 0;

	if (!widths || table->error < 0)
		return -ENOMEM;
	measure(table, widths);
	make_fit(table, widths, fresh.left);
	for (size_t i = 0; i < table->n_columns; i++)
		if (widths[i] > 0)
			print_cell(&line, table->columns[i].title, TABLE_DIM, widths[i],
				   table->columns[i].align);
	fputc('\n', file);
	line = fresh;
	for (size_t i = 0; i < table->n_cells; i++) {
		const struct cell *cell = &table->cells[i];

		if (cell->heading) {
			print_text(&line, cell->text, cell->color);
		} else {
			if (widths[column] > 0)
				print_cell(&line, cell->text, cell->color, widths[column],
					   table->columns[column].align);
			column = (column + 1) % table->n_columns;
		}
		if (cell->heading || column == 0) {
			fputc('\n', file);
			line = fresh;
		}
	}
	return 0;
}

void print_color(FILE *file, bool color, enum table_color which, const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0) {
		text = NULL;
		return;
	}
	clean = text_for_terminal(text);
	if (!clean)
		return;
	if (color && which != TABLE_PLAIN)
		fprintf(file, "%s%s\033[0m", color_codes[which], clean);
	else
		fputs(clean, file);
}
