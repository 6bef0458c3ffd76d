/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks the text of a description: a type alone, or a type and a value side by side. Descriptions are small
 * and calls are few, so looking up a name from the top is cheap, and there is no tree to keep in step with
 * the text.
 */

#include "control/varlink/idl.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define NESTING_MAX 32

struct cursor {
	const char *text;
	const char *at;
	unsigned int nesting;
	char *wrong; /* gets the name of a wrong member of the outermost struct; or NULL */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* By hand: strspn() prepares a table for each call, and a list of 50,000 nodes makes a million. */
static void skip_blanks(struct cursor *cursor)
{
	for (;;) {
		while (is_blank(*cursor->at))
			cursor->at++;
		if (*cursor->at != '#')
			return;
		cursor->at = strchrnul(cursor->at, '\n');
	}
}

static bool take(struct cursor *cursor, const char *token)
{
	size_t n = strlen(token);

	skip_blanks(cursor);
	if (*cursor->at != *token || strncmp(cursor->at, token, n) != 0)
		return false;
	cursor->at += n;
	return true;
}

/* A word of letters, digits and underscores. Its length, which may be 0. */
static size_t take_word(struct cursor *cursor, const char **ret_word)
{
	const char *word;

	skip_blanks(cursor);
	word = cursor->at;
	while (isalnum((unsigned char)*cursor->at) || *cursor->at == '_')
		cursor->at++;
	*ret_word = word;
	return (size_t)(cursor->at - word);
}

static bool word_is(const char *word, size_t n, const char *what)
{
	return n == strlen(what) && memcmp(word, what, n) == 0;
}

static int walk_type(struct cursor *cursor, const json_t *value);
static bool find_definition(const char *text, const char *keyword, const char *name, size_t n,
			    struct cursor *ret_cursor);

static int walk_named_type(struct cursor *cursor, const json_t *value)
{
	const char *word;
	size_t n = take_word(cursor, &word);
	struct cursor definition;

	if (n == 0)
		return -EINVAL;
	if (word_is(word, n, "bool"))
		return !value || json_is_boolean(value) ? 0 : -EINVAL;
	if (word_is(word, n, "int"))
		return !value || json_is_integer(value) ? 0 : -EINVAL;
	if (word_is(word, n, "float"))
		return !value || json_is_number(value) ? 0 : -EINVAL;
	if (word_is(word, n, "string"))
		return !value || json_is_string(value) ? 0 : -EINVAL;
	if (word_is(word, n, "object"))
		return !value || json_is_object(value) ? 0 : -EINVAL;
	if (!isupper((unsigned char)*word) || !find_definition(cursor->text, "type", word, n, &definition))
		return -EINVAL;
	return value ? walk_type(&definition, value) : 0;
}

/* Where the elements' type is described. A name is looked up once, since a list may have 50,000 elements. */
static struct cursor find_element_type(const struct cursor *cursor)
{
	struct cursor type = *cursor, definition;
	const char *word;
	size_t n = take_word(&type, &word);

	if (n > 0 && isupper((unsigned char)*word) &&
	    find_definition(cursor->text, "type", word, n, &definition))
		return definition;
	return *cursor;
}

/* The type of all elements of an array or a map, after its brackets. */
static int walk_elements(struct cursor *cursor, json_t *value)
{
	struct cursor element, type = value ? find_element_type(cursor) : *cursor;
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach (value, i, item) {
		element = type;
		if (walk_type(&element, item) < 0)
			return -EINVAL;
	}
	json_object_foreach (value, key, item) {
		element = type;
		if (walk_type(&element, item) < 0)
			return -EINVAL;
	}
	return walk_type(cursor, NULL);
}

/* The rest of an enum, after its first name. */
static int walk_enum(struct cursor *cursor, const char *word, size_t n, const json_t *value)
{
	bool found = !value;

	if (value && !json_is_string(value))
		return -EINVAL;
	for (;;) {
		if (value && word_is(word, n, json_string_value(value)))
			found = true;
		if (take(cursor, ")"))
			return found ? 0 : -EINVAL;
		if (!take(cursor, ","))
			return -EINVAL;
		n = take_word(cursor, &word);
		if (n == 0)
			return -EINVAL;
	}
}

static void set_wrong(struct cursor *cursor, const char *word, size_t n)
{
	if (!cursor->wrong || cursor->nesting > 1)
		return;
	if (n >= VARLINK_IDL_NAME_MAX) {
		n = VARLINK_IDL_NAME_MAX - 1;
		/* Not in the middle of a character: the name goes back as JSON. */
		while (n > 0 && ((unsigned char)word[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(cursor->wrong, word, n);
	cursor->wrong[n] = '\0';
}

/* One member of a struct, after its name. *known counts those that the object has. */
static int walk_member(struct cursor *cursor, const char *word, size_t n, const json_t *object, size_t *known)
{
	const json_t *value;
	char name[VARLINK_IDL_NAME_MAX];
	int r;

	if (!take(cursor, ":") || n >= sizeof(name))
		return -EINVAL;
	memcpy(name, word, n);
	name[n] = '\0';
	value = json_object_get(object, name);
	if (value)
		++*known;
	skip_blanks(cursor);
	if (object && !value && *cursor->at != '?')
		r = -EINVAL;
	else
		r = walk_type(cursor, value);
	if (r < 0)
		set_wrong(cursor, word, n);
	return r;
}

/* Names the first member that the struct does not have. */
static void find_unknown(struct cursor *cursor, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		struct cursor member = *cursor;
		const char *word;
		bool known = false;
		size_t n, count = 0;

		do {
			n = take_word(&member, &word);
			known = known || (n > 0 && word_is(word, n, key));
			(void)walk_member(&member, word, n, NULL, &count);
		} while (take(&member, ","));
		if (!known) {
			set_wrong(cursor, key, strlen(key));
			return;
		}
	}
}

/* A struct or an enum, after its "(". */
static int walk_struct(struct cursor *cursor, const json_t *value)
{
	struct cursor first = *cursor, peek;
	size_t n, known = 0;
	const char *word;
	int r;

	if (take(cursor, ")")) {
		const char *key = json_object_iter_key(json_object_iter((json_t *)value));

		if (key)
			set_wrong(cursor, key, strlen(key));
		return !value || (json_is_object(value) && !key) ? 0 : -EINVAL;
	}
	n = take_word(cursor, &word);
	peek = *cursor;
	if (n > 0 && !take(&peek, ":"))
		return walk_enum(cursor, word, n, value);
	if (value && !json_is_object(value))
		return -EINVAL;
	for (;;) {
		if (n == 0)
			return -EINVAL;
		r = walk_member(cursor, word, n, value, &known);
		if (r < 0)
			return r;
		if (take(cursor, ")"))
			break;
		if (!take(cursor, ","))
			return -EINVAL;
		n = take_word(cursor, &word);
	}
	if (value && known < json_object_size(value)) {
		find_unknown(&first, (json_t *)value);
		return -EINVAL;
	}
	return 0;
}

/* Moves over a type; with a value, checks that it is of that type. 0 or -EINVAL. */
static int walk_type(struct cursor *cursor, const json_t *value)
{
	int r;

	if (++cursor->nesting > NESTING_MAX)
		return -EINVAL;
	if (take(cursor, "?") && json_is_null(value))
		value = NULL;
	if (take(cursor, "[]"))
		r = !value || json_is_array(value) ? walk_elements(cursor, (json_t *)value) : -EINVAL;
	else if (take(cursor, "[string]"))
		r = !value || json_is_object(value) ? walk_elements(cursor, (json_t *)value) : -EINVAL;
	else if (take(cursor, "("))
		r = walk_struct(cursor, value);
	else
		r = walk_named_type(cursor, value);
	cursor->nesting--;
	return r;
}

/* Moves over "interface a.b.c" at the top. */
static bool take_interface(struct cursor *cursor, const char *interface)
{
	size_t n = strlen(interface);

	if (!take(cursor, "interface") || !isspace((unsigned char)*cursor->at))
		return false;
	skip_blanks(cursor);
	if (strncmp(cursor->at, interface, n) != 0)
		return false;
	cursor->at += n;
	return *cursor->at == '\0' || isspace((unsigned char)*cursor->at);
}

/* Moves over one definition: its keyword, its name, and where its type begins. 1, 0 at the end, or -EINVAL.
 */
static int next_definition(struct cursor *cursor, const char **ret_keyword, size_t *ret_keyword_n,
			   const char **ret_name, size_t *ret_n, struct cursor *ret_type)
{
	bool method;

	skip_blanks(cursor);
	if (*cursor->at == '\0')
		return 0;
	*ret_keyword_n = take_word(cursor, ret_keyword);
	*ret_n = take_word(cursor, ret_name);
	if (*ret_n == 0 || *ret_n >= VARLINK_IDL_NAME_MAX || !isupper((unsigned char)**ret_name))
		return -EINVAL;
	method = word_is(*ret_keyword, *ret_keyword_n, "method");
	if (!method && !word_is(*ret_keyword, *ret_keyword_n, "type") &&
	    !word_is(*ret_keyword, *ret_keyword_n, "error"))
		return -EINVAL;
	skip_blanks(cursor);
	*ret_type = *cursor;
	if (*cursor->at != '(' || walk_type(cursor, NULL) < 0)
		return -EINVAL;
	if (!method)
		return 1;
	if (!take(cursor, "->"))
		return -EINVAL;
	skip_blanks(cursor);
	return *cursor->at == '(' && walk_type(cursor, NULL) == 0 ? 1 : -EINVAL;
}

/* Moves over a type unread: parentheses are balanced in a checked text. */
static void skip_parentheses(struct cursor *cursor)
{
	int depth = 0;

	do {
		skip_blanks(cursor);
		if (*cursor->at == '\0')
			return;
		depth += *cursor->at == '(' ? 1 : *cursor->at == ')' ? -1 : 0;
		cursor->at++;
	} while (depth > 0);
}

/* Finds "keyword Name" (NULL: any keyword) and puts the cursor at its type. */
static bool find_definition(const char *text, const char *keyword, const char *name, size_t n,
			    struct cursor *ret_cursor)
{
	struct cursor cursor = {.text = text, .at = text};

	if (!take(&cursor, "interface"))
		return false;
	skip_blanks(&cursor);
	cursor.at += strcspn(cursor.at, " \t\r\n");
	for (;;) {
		const char *word, *defined;
		size_t word_n = take_word(&cursor, &word), defined_n = take_word(&cursor, &defined);

		skip_blanks(&cursor);
		if (word_n == 0 || *cursor.at != '(')
			return false;
		if ((!keyword || word_is(word, word_n, keyword)) && defined_n == n &&
		    memcmp(defined, name, n) == 0) {
			*ret_cursor = cursor;
			return true;
		}
		skip_parentheses(&cursor);
		if (take(&cursor, "->")) {
			skip_blanks(&cursor);
			skip_parentheses(&cursor);
		}
	}
}

int varlink_idl_check(const char *text, const char *interface, unsigned int *ret_line)
{
	struct cursor cursor = {.text = text, .at = text}, type, first;
	const char *keyword, *name;
	size_t keyword_n, n;
	int r = -EINVAL;

	if (take_interface(&cursor, interface)) {
		do {
			r = next_definition(&cursor, &keyword, &keyword_n, &name, &n, &type);
			/* Types, methods and errors share one namespace; other parsers enforce it. */
			if (r > 0 && (!find_definition(text, NULL, name, n, &first) || first.at != type.at))
				r = -EINVAL;
		} while (r > 0);
	}
	if (r == 0)
		return 0;
	*ret_line = 1;
	for (const char *at = text; at < cursor.at; at++)
		*ret_line += *at == '\n';
	return r;
}

bool varlink_idl_has_method(const char *text, const char *method)
{
	struct cursor cursor;

	return find_definition(text, "method", method, strlen(method), &cursor);
}

bool varlink_idl_has_error(const char *text, const char *error)
{
	struct cursor cursor;

	return find_definition(text, "error", error, strlen(error), &cursor);
}

static int check_members(struct cursor *cursor, const json_t *parameters, char *ret_wrong)
{
	cursor->wrong = ret_wrong;
	ret_wrong[0] = '\0';
	return walk_type(cursor, parameters);
}

int varlink_idl_check_parameters(const char *text, const char *method, const json_t *parameters,
				 char ret_wrong[static VARLINK_IDL_NAME_MAX])
{
	struct cursor cursor;

	if (!find_definition(text, "method", method, strlen(method), &cursor))
		return -ENOENT;
	return check_members(&cursor, parameters, ret_wrong);
}

int varlink_idl_check_reply(const char *text, const char *method, const json_t *parameters,
			    char ret_wrong[static VARLINK_IDL_NAME_MAX])
{
	struct cursor cursor;

	if (!find_definition(text, "method", method, strlen(method), &cursor))
		return -ENOENT;
	if (walk_type(&cursor, NULL) < 0 || !take(&cursor, "->"))
		return -ENOENT;
	skip_blanks(&cursor);
	return check_members(&cursor, parameters, ret_wrong);
}
