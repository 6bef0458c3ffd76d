/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/upload/kinds/clickhouse_types.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* The longest IPv4-mapped address. */
#define ADDRESS_TEXT 22
/* "YYYY-MM-DD hh:mm:ss.fff" */
#define TIME_TEXT 23

enum holds { HOLDS_NUMBER, HOLDS_INTEGER, HOLDS_TEXT, HOLDS_ENUM, HOLDS_TIME, HOLDS_ADDRESS };

static const struct column {
	const char *name;
	enum holds holds;
	unsigned int size; /* bits of a number; characters of the longest text, 0: any */
	const char *needed;
	const char *const words[5]; /* that an Enum must have */
} columns[] = {
	{"node", HOLDS_TEXT, 0, "String", {}},
	{"spool", HOLDS_TEXT, 0, "String", {}},
	{"src_node", HOLDS_TEXT, 0, "String", {}},
	{"dst_node", HOLDS_TEXT, 0, "String", {}},
	{"text", HOLDS_TEXT, 0, "String", {}},
	{"kind", HOLDS_ENUM, 8, "String", {"text", "loss", "overflow", "empty"}},
	{"class",
	 HOLDS_ENUM,
	 8,
	 "Enum8 with virtual, subnet, exit and physical",
	 {"virtual", "subnet", "exit", "physical"}},
	/* A row leaves out what it does not know: the type's default must not look like an answer. */
	{"init", HOLDS_ENUM, 3, "Enum8 with unknown, src and dst", {"unknown", "src", "dst"}},
	{"drop_reason", HOLDS_TEXT, 0, "String", {}},
	{"start", HOLDS_TIME, TIME_TEXT, "DateTime64", {}},
	{"end", HOLDS_TIME, TIME_TEXT, "DateTime64", {}},
	{"time", HOLDS_TIME, TIME_TEXT, "DateTime64", {}},
	{"src", HOLDS_ADDRESS, ADDRESS_TEXT, "IPv6", {}},
	{"dst", HOLDS_ADDRESS, ADDRESS_TEXT, "IPv6", {}},
	/* Counts and sequences are below 2^63 in messages. */
	{"seq", HOLDS_NUMBER, 63, "UInt64", {}},
	{"proc_seq", HOLDS_NUMBER, 63, "UInt64", {}},
	{"tx_pkts", HOLDS_NUMBER, 63, "UInt64", {}},
	{"tx_bytes", HOLDS_NUMBER, 63, "UInt64", {}},
	{"rx_pkts", HOLDS_NUMBER, 63, "UInt64", {}},
	{"rx_bytes", HOLDS_NUMBER, 63, "UInt64", {}},
	{"proc_id", HOLDS_NUMBER, 32, "UInt32", {}},
	/* Of details. A column of text is an operator's own, and old servers refuse numbers in it. */
	{"starts", HOLDS_INTEGER, 32, "UInt32", {}},
	{"ends", HOLDS_INTEGER, 32, "UInt32", {}},
	{"tx_drops", HOLDS_INTEGER, 32, "UInt32", {}},
	{"rx_drops", HOLDS_INTEGER, 32, "UInt32", {}},
	{"idx", HOLDS_NUMBER, 32, "UInt32", {}},
	{"src_port", HOLDS_NUMBER, 16, "UInt16", {}},
	{"dst_port", HOLDS_NUMBER, 16, "UInt16", {}},
	{"proto", HOLDS_NUMBER, 8, "UInt8", {}},
	{"tx_flags", HOLDS_INTEGER, 8, "UInt8", {}},
	{"rx_flags", HOLDS_INTEGER, 8, "UInt8", {}},
};

struct type {
	const char *text;
	size_t n;
};

/* Takes what the type begins with. */
static bool take(struct type *type, const char *text)
{
	size_t n = strlen(text);

	if (type->n < n || memcmp(type->text, text, n) != 0)
		return false;
	type->text += n;
	type->n -= n;
	return true;
}

static bool begins(struct type type, const char *text)
{
	return take(&type, text);
}

static unsigned int take_count(struct type *type)
{
	unsigned int count = 0;

	for (; type->n > 0 && *type->text >= '0' && *type->text <= '9'; type->text++, type->n--)
		count = MIN(count * 10 + (unsigned int)(*type->text - '0'), 100000U);
	return count;
}

static bool begins_with_any(struct type type, const char *const names[])
{
	for (size_t i = 0; names[i]; i++)
		if (begins(type, names[i]))
			return true;
	return false;
}

/* What the values are, under what says how they are stored. */
static struct type unwrap(struct type type)
{
	while (take(&type, "Nullable(") || take(&type, "LowCardinality("))
		;
	if (begins(type, "SimpleAggregateFunction(")) {
		const char *comma = memmem(type.text, type.n, ", ", 2);

		if (comma) {
			type.n -= (size_t)(comma + 2 - type.text);
			type.text = comma + 2;
			return unwrap(type);
		}
	}
	return type;
}

static bool is_integer(struct type type)
{
	return begins(type, "UInt") || begins(type, "Int");
}

/* A number of so many bits. */
static bool fits_number(struct type type, unsigned int bits)
{
	static const char *const others[] = {
		"Bool", "Date",	  "IPv4",     "IPv6",	 "UUID", "Array(",
		"Map(", "Tuple(", "BFloat16", "Nothing", NULL,
	};

	if (take(&type, "UInt"))
		return take_count(&type) >= bits;
	if (take(&type, "Int"))
		return take_count(&type) > bits;
	/* Exact up to 2^24; a Float64 is up to 2^53, which no count of ours exceeds in practice. */
	if (begins(type, "Float32"))
		return bits <= 24;
	return !begins_with_any(type, others);
}

static bool fits_text(struct type type, unsigned int length)
{
	static const char *const others[] = {
		"Bool",	  "Float", "Decimal", "Date",	  "IPv4",    "IPv6",
		"Array(", "Map(",  "Tuple(",  "BFloat16", "Nothing", NULL,
	};

	if (take(&type, "FixedString("))
		return take_count(&type) >= length;
	return !is_integer(type) && !begins_with_any(type, others);
}

/* Whether an Enum has the word; quotation marks are escaped, or not. */
static bool has_word(struct type type, const char *word)
{
	size_t n = strlen(word);

	while (type.n > n + 1) {
		const char *at = memmem(type.text + 1, type.n - 1, word, n);
		const char *after = at ? at + n : NULL, *end = type.text + type.n;

		if (!at)
			return false;
		if (at[-1] == '\'' && after < end && (*after == '\'' || *after == '\\'))
			return true;
		type.n = (size_t)(end - at);
		type.text = at;
	}
	return false;
}

static bool fits_enum(struct type type, const struct column *column)
{
	if (!begins(type, "Enum"))
		return fits_text(type, column->size);
	for (size_t i = 0; column->words[i]; i++)
		if (!has_word(type, column->words[i]))
			return false;
	return true;
}

static bool fits_time(struct type type)
{
	if (begins(type, "DateTime"))
		return true;
	return !begins(type, "Enum") && !begins(type, "UUID") && fits_text(type, TIME_TEXT);
}

static bool fits_address(struct type type)
{
	if (begins(type, "IPv6"))
		return true;
	return !begins(type, "Enum") && !begins(type, "UUID") && fits_text(type, ADDRESS_TEXT);
}

static bool fits(const struct column *column, bool event, struct type type)
{
	switch (column->holds) {
	case HOLDS_NUMBER:
		/* Of a message's events there are four. */
		return fits_number(type, event && strcmp(column->name, "idx") == 0 ? 7 : column->size);
	case HOLDS_INTEGER:
		return is_integer(type) && fits_number(type, column->size);
	case HOLDS_TEXT:
		return fits_text(type, column->size);
	case HOLDS_ENUM:
		return fits_enum(type, column);
	case HOLDS_TIME:
		return fits_time(type);
	case HOLDS_ADDRESS:
		return fits_address(type);
	}
	return true;
}

const char *clickhouse_type_needed(const char *column, bool event, const char *type, size_t n)
{
	struct type inner = unwrap((struct type){type, n});

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strcmp(columns[i].name, column) == 0)
			return fits(&columns[i], event, inner) ? NULL : columns[i].needed;
	return NULL;
}
