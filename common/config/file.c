/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The form of the configuration file. inih takes lines apart; it is fed line by line, because as it is built
 * by distributions it tells its handler neither line numbers nor sections, and would cut long lines and names
 * in silence.
 */

#include "common/config/file.h"
#include "common/cleanup.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

struct reader {
	const char *next;
	const char *end;
	const char *rest; /* of a line that is longer than inih's buffer: handed over in pieces */
	size_t rest_length;
	unsigned int line;
	bool indented; /* the line begins with a blank */
	bool piece;    /* what inih reads now goes on with the line before, to the letter */
	/* The file's line of each such piece: inih counts them as lines of their own. */
	unsigned int *pieces;
	size_t n_pieces;
	int result; /* of the first failure */
	struct config_sections sections;
	struct config_error *error;
};

int config_fail(struct config_error *error, unsigned int line, const char *format, ...)
{
	va_list arguments;
	int r;

	if (error->reason)
		return -EINVAL;
	va_start(arguments, format);
	r = vasprintf(&error->reason, format, arguments);
	va_end(arguments);
	if (r < 0) {
		error->reason = NULL;
		return -ENOMEM;
	}
	error->line = line;
	return -EINVAL;
}

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

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int add_section(struct reader *reader, char *kind, char *name)
{
	struct config_sections *sections = &reader->sections;
	struct config_section *items;

	for (size_t i = 0; i < sections->n; i++) {
		const struct config_section *other = &sections->items[i];

		if (strcmp(other->kind, kind) == 0 && strcmp(other->name, name) == 0)
			return config_fail(reader->error, reader->line,
					   "section [%s%s%s] is already there in line %u", kind,
					   *name ? " " : "", name, other->line);
	}
	items = reallocarray(sections->items, sections->n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	sections->items = items;
	items[sections->n++] = (struct config_section){.kind = kind, .name = name, .line = reader->line};
	return 0;
}

/* "[kind name]", with nothing but a comment behind it. */
static int read_section(struct reader *reader, const char *line, size_t length)
{
	const char *close = memchr(line, ']', length);
	const char *start = line + 1, *end, *rest, *kind_end;
	_cleanup_free_ char *kind = NULL, *name = NULL;
	int r;

	if (!close)
		return config_fail(reader->error, reader->line,
				   "expected ] at the end of the section's name");
	for (rest = close + 1; rest < line + length && is_blank(*rest); rest++)
		;
	if (rest < line + length && *rest != ';' && *rest != '#')
		return config_fail(reader->error, reader->line, "expected nothing behind ]");
	for (end = close; end > start && is_blank(end[-1]); end--)
		;
	while (start < end && is_blank(*start))
		start++;
	for (kind_end = start; kind_end < end && !is_blank(*kind_end); kind_end++)
		;
	kind = strndup(start, (size_t)(kind_end - start));
	while (kind_end < end && is_blank(*kind_end))
		kind_end++;
	name = strndup(kind_end, (size_t)(end - kind_end));
	if (!kind || !name)
		return -ENOMEM;
	r = add_section(reader, kind, name);
	if (r < 0)
		return r;
	TAKE_PTR(kind);
	TAKE_PTR(name);
	return 0;
}

static size_t count_blanks(const char *line, size_t length)
{
	size_t blanks = 0;

	while (blanks < length && is_blank(line[blanks]))
		blanks++;
	return blanks;
}

static bool is_comment(const char *line, size_t length)
{
	size_t blanks = count_blanks(line, length);

	return blanks < length && (line[blanks] == '#' || line[blanks] == ';');
}

static int check_line(struct reader *reader, const char *line, size_t length)
{
	size_t blanks = count_blanks(line, length);

	if (memchr(line, '\0', length))
		return config_fail(reader->error, reader->line, "a NUL byte: this is no text file");
	if (is_comment(line, length))
		return 0;
	if (length > CONFIG_LINE_MAX)
		return config_fail(reader->error, reader->line, "a line of more than %d bytes",
				   CONFIG_LINE_MAX);
	if (blanks < length && line[blanks] == '[') {
		if (blanks > 0)
			return config_fail(reader->error, reader->line,
					   "expected [ at the beginning of the line");
		return read_section(reader, line, length);
	}
	return 0;
}

/* The value without a comment behind it, which inih takes away from a key's first line only. */
static size_t value_length(const char *value, size_t length)
{
	const char *semicolon = value;
	size_t n = length;

	while ((semicolon = memchr(semicolon, ';', (size_t)(value + length - semicolon)))) {
		if (semicolon == value || is_blank(semicolon[-1])) {
			n = (size_t)(semicolon - value);
			break;
		}
		semicolon++;
	}
	while (n > 0 && is_blank(value[n - 1]))
		n--;
	return n;
}

/* Where a line can be cut so that inih, which trims blanks, takes nothing away. 0: nowhere. */
static size_t cut(const char *line, size_t max)
{
	while (max > 1 && (is_blank(line[max - 1]) || is_blank(line[max])))
		max--;
	return max > 1 ? max : 0;
}

static void put_line(char *buffer, const char *line, size_t length)
{
	memcpy(buffer, line, length);
	buffer[length] = '\n';
	buffer[length + 1] = '\0';
}

static int note_piece(struct reader *reader)
{
	unsigned int *pieces = reallocarray(reader->pieces, reader->n_pieces + 1, sizeof(*pieces));

	if (!pieces)
		return -ENOMEM;
	reader->pieces = pieces;
	pieces[reader->n_pieces++] = reader->line;
	return 0;
}

/* From a line as inih counts to the file's. */
static unsigned int real_line(const struct reader *reader, unsigned int counted)
{
	unsigned int before = 0;

	while (before < reader->n_pieces && reader->pieces[before] + before < counted)
		before++;
	return counted - before;
}

/* The next piece of a long line; a blank before it makes inih take it for a continuation. */
static char *next_piece(struct reader *reader, char *buffer, size_t size)
{
	size_t length = MIN(reader->rest_length, size - 3);

	if (length < reader->rest_length)
		length = cut(reader->rest, length);
	if (length == 0) {
		reader->result = config_fail(reader->error, reader->line,
					     "a line with more than %zu blanks in a row", size - 3);
		return NULL;
	}
	if (note_piece(reader) < 0) {
		reader->result = -ENOMEM;
		return NULL;
	}
	buffer[0] = ' ';
	put_line(buffer + 1, reader->rest, length);
	reader->rest += length;
	reader->rest_length -= length;
	reader->piece = true;
	return buffer;
}

/* The first piece of a long line, which holds the key. */
static char *first_piece(struct reader *reader, const char *line, size_t length, char *buffer, size_t size)
{
	size_t first;

	length = value_length(line, length);
	first = length <= size - 2 ? length : cut(line, size - 2);
	if (first == 0 || (!reader->indented && !memchr(line, '=', first))) {
		reader->result = config_fail(reader->error, reader->line, "expected \"key = value\"");
		return NULL;
	}
	put_line(buffer, line, first);
	reader->rest = line + first;
	reader->rest_length = length - first;
	return buffer;
}

/* Hands inih the next line. A long one comes in pieces; a long comment it need not see. */
static char *next_line(char *buffer, int size, void *userdata)
{
	struct reader *reader = userdata;
	const char *line = reader->next, *newline;
	size_t length;

	if (reader->result < 0)
		return NULL;
	if (reader->rest_length > 0)
		return next_piece(reader, buffer, (size_t)size);
	reader->piece = false;
	if (line == reader->end)
		return NULL;
	newline = memchr(line, '\n', (size_t)(reader->end - line));
	length = (size_t)((newline ? newline : reader->end) - line);
	reader->next = line + length + (newline != NULL);
	reader->line++;
	reader->indented = length > 0 && is_blank(line[0]);

	reader->result = check_line(reader, line, length);
	if (reader->result < 0)
		return NULL;
	if (length > (size_t)size - 2) {
		if (!is_comment(line, length))
			return first_piece(reader, line, length, buffer, (size_t)size);
		length = 0;
	}
	put_line(buffer, line, length);
	return buffer;
}

/* A continuation line is one more item of a list; a piece goes on where the one before was cut. */
static int continue_entry(struct config_entry *entry, const char *value, bool piece)
{
	size_t length = piece ? strlen(value) : value_length(value, strlen(value));
	char *joined;

	if (asprintf(&joined, "%s%s%.*s", entry->value, piece ? "" : ",", (int)length, value) < 0)
		return -ENOMEM;
	free(entry->value);
	entry->value = joined;
	entry->n_lines += !piece;
	return 0;
}

static int add_entry(struct reader *reader, struct config_section *section, const char *key,
		     const char *value)
{
	struct config_entry *entries, entry = {.line = reader->line, .n_lines = 1};

	for (size_t i = 0; i < section->n_entries; i++)
		if (strcmp(section->entries[i].key, key) == 0)
			return config_fail(reader->error, reader->line, "%s is already set in line %u", key,
					   section->entries[i].line);
	entries = reallocarray(section->entries, section->n_entries + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	section->entries = entries;
	entry.key = strdup(key);
	entry.value = strdup(value);
	if (!entry.key || !entry.value) {
		free(entry.key);
		free(entry.value);
		return -ENOMEM;
	}
	entries[section->n_entries++] = entry;
	return 0;
}

static int take_entry(void *userdata, const char *section_name, const char *key, const char *value)
{
	struct reader *reader = userdata;
	struct config_section *section;

	(void)section_name; /* cut by inih where it is long; read_section() knows it whole */
	if (reader->result < 0)
		return 1;
	if (reader->sections.n == 0) {
		reader->result =
			config_fail(reader->error, reader->line, "expected a [section] before \"%s\"", key);
		return 1;
	}
	section = &reader->sections.items[reader->sections.n - 1];
	if ((reader->indented || reader->piece) && section->n_entries > 0)
		reader->result =
			continue_entry(&section->entries[section->n_entries - 1], value, reader->piece);
	else
		reader->result = add_entry(reader, section, key, value);
	return 1;
}

int config_sections_parse(const char *text, size_t size, struct config_sections *ret_sections,
			  struct config_error *ret_error)
{
	struct reader reader = {.next = text, .end = text + size, .error = ret_error};
	int r;

	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		reader.next += 3;
	/* inih goes on behind a line that it can't read, and says which was the first. */
	r = ini_parse_stream(next_line, &reader, take_entry, &reader);
	if (r > 0)
		r = (int)real_line(&reader, (unsigned int)r);
	free(reader.pieces);
	if (r > 0 && (reader.result == 0 || (unsigned int)r < reader.line)) {
		free(TAKE_PTR(ret_error->reason));
		reader.result = config_fail(ret_error, (unsigned int)r, "expected \"key = value\"");
	} else if (r < 0 && reader.result == 0) {
		reader.result = -ENOMEM;
	}
	if (reader.result < 0) {
		config_sections_deinit(&reader.sections);
		return reader.result;
	}
	*ret_sections = reader.sections;
	return 0;
}
