/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The form of the configuration file, line by line. Nothing is cut or skipped silently: what is neither a
 * section, an entry, a continuation nor a comment is an error with its line.
 */

#include "common/config/file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define KEY_MAX 197 /* bytes of a line before the '=' */

struct reader {
	struct config_sections sections;
	struct config_error *error;
	unsigned int line;
};

void config_sections_deinit(struct config_sections *sections)
{
	for (size_t i = 0; i < sections->n; i++) {
		struct config_section *section = &sections->items[i];

		for (size_t j = 0; j < section->n_entries; j++) {
			free(section->entries[j].key);
			free(section->entries[j].value);
		}
		free(section->entries);
		free(section->kind);
		free(section->name);
	}
	free(sections->items);
	*sections = (struct config_sections){};
}

/* As isspace(3), whatever the locale. */
static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_blanks(const char *start, const char *end)
{
	while (start < end && is_blank(*start))
		start++;
	return start;
}

static char *copy_trimmed(const char *start, const char *end)
{
	start = skip_blanks(start, end);
	while (start < end && is_blank(end[-1]))
		end--;
	return strndup(start, (size_t)(end - start));
}

/* Where the comment behind a text begins, or the end. */
static const char *find_comment(const char *start, const char *end)
{
	for (const char *p = start + 1; p < end; p++)
		if (*p == ';' && is_blank(p[-1]))
			return p;
	return end;
}

/* "[kind name]", with nothing but a comment behind it. */
static int read_section(struct reader *reader, const char *line, const char *line_end)
{
	const char *end = memchr(line, ']', (size_t)(line_end - line)), *start = line + 1, *rest, *kind_end;
	struct config_sections *sections = &reader->sections;
	struct config_section *items, *section;

	if (!end || find_comment(start, end) < end)
		return config_fail(reader->error, reader->line,
				   "expected ] at the end of the section's name");
	rest = skip_blanks(end + 1, line_end);
	if (rest < line_end && *rest != ';' && *rest != '#')
		return config_fail(reader->error, reader->line, "expected nothing after ]");

	items = reallocarray(sections->items, sections->n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	sections->items = items;
	section = &items[sections->n++];
	start = skip_blanks(start, end);
	while (end > start && is_blank(end[-1]))
		end--;
	for (kind_end = start; kind_end < end && !is_blank(*kind_end); kind_end++)
		;
	rest = skip_blanks(kind_end, end);
	*section = (struct config_section){
		.kind = strndup(start, (size_t)(kind_end - start)),
		.name = strndup(rest, (size_t)(end - rest)),
		.line = reader->line,
	};
	if (!section->kind || !section->name)
		return -ENOMEM;
	for (const struct config_section *other = items; other < section; other++)
		if (strcmp(other->kind, section->kind) == 0 && strcmp(other->name, section->name) == 0)
			return config_fail(reader->error, reader->line,
					   "section [%s%s%s] already begins in line %u", section->kind,
					   *section->name ? " " : "", section->name, other->line);
	return 0;
}

/* Takes key and value, either of which may be NULL without memory. */
static int add_entry(struct reader *reader, struct config_section *section, char *key, char *value)
{
	struct config_entry *entries =
		reallocarray(section->entries, section->n_entries + 1, sizeof(*entries));
	struct config_entry entry = {.key = key, .value = value, .line = reader->line, .n_lines = 1};

	if (entries)
		section->entries = entries;
	if (!entries || !key || !value) {
		free(key);
		free(value);
		return -ENOMEM;
	}
	entries[section->n_entries++] = entry;
	for (size_t i = 0; i + 1 < section->n_entries; i++)
		if (strcmp(entries[i].key, key) == 0)
			return config_fail(reader->error, reader->line, "%s is already set in line %u", key,
					   entries[i].line);
	return 0;
}

static int continue_entry(struct config_entry *entry, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s,%s", entry->value, more) < 0)
		return -ENOMEM;
	free(entry->value);
	entry->value = joined;
	entry->n_lines++;
	return 0;
}

/* "key = value", or more of the value before. */
static int read_entry(struct reader *reader, const char *line, const char *line_end)
{
	struct config_section *section =
		reader->sections.n ? &reader->sections.items[reader->sections.n - 1] : NULL;
	struct config_entry *last =
		section && section->n_entries ? &section->entries[section->n_entries - 1] : NULL;
	const char *comment = find_comment(line, line_end), *separator = line;
	_cleanup_free_ char *key = NULL, *value = NULL;

	if (last && is_blank(*line)) {
		value = copy_trimmed(line, comment);
		return value ? continue_entry(last, value) : -ENOMEM;
	}
	while (separator < comment && *separator != '=' && *separator != ':')
		separator++;
	if (separator == comment || separator - line > KEY_MAX)
		return config_fail(reader->error, reader->line, "expected \"key = value\"");
	key = copy_trimmed(line, separator);
	value = copy_trimmed(separator + 1, comment);
	if (!section)
		return key ? config_fail(reader->error, reader->line, "expected a [section] before \"%s\"",
					 key)
			   : -ENOMEM;
	return add_entry(reader, section, TAKE_PTR(key), TAKE_PTR(value));
}

static int read_line(struct reader *reader, const char *line, const char *end)
{
	const char *start = skip_blanks(line, end);

	if (memchr(line, '\0', (size_t)(end - line)))
		return config_fail(reader->error, reader->line, "NUL byte: not a text file");
	if (start == end || *start == '#' || *start == ';')
		return 0;
	if (end - line > CONFIG_LINE_MAX)
		return config_fail(reader->error, reader->line, "line longer than %d bytes", CONFIG_LINE_MAX);
	if (*start != '[')
		return read_entry(reader, line, end);
	if (start > line)
		return config_fail(reader->error, reader->line, "expected [ at the beginning of the line");
	return read_section(reader, line, end);
}

int config_sections_parse(const char *text, size_t size, struct config_sections *ret_sections,
			  struct config_error *ret_error)
{
	struct reader reader = {.error = ret_error};
	const char *next = text, *end = text + size;
	int r = 0;

	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		next += 3;
	while (r == 0 && next < end) {
		const char *line = next, *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		reader.line++;
		r = read_line(&reader, line, newline ? newline : end);
	}
	if (r < 0) {
		config_sections_deinit(&reader.sections);
		return r;
	}
	*ret_sections = reader.sections;
	return 0;
}
