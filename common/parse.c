/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, sizes, durations, lists and hex digits. */

#include "common/parse.h"
#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits and says where they end. */
static int read_number(const char *text, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;

	if (!is_digit(*text))
		return -EINVAL;
	for (; is_digit(*text); text++)
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return -ERANGE;
	*ret_value = value;
	*ret_end = text;
	return 0;
}

int parse_u64(const char *text, uint64_t *ret_value)
{
	const char *end;
	uint64_t value;
	int r;

	r = read_number(text, &value, &end);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int parse_hex(const char *text, uint8_t *ret_bytes, size_t n)
{
	for (size_t i = 0; i < 2 * n; i++)
		if (hex_digit(text[i]) < 0)
			return -EINVAL;
	if (text[2 * n])
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		ret_bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	unsigned int shift = 0;
	const char *end;
	uint64_t value;
	int r;

	r = read_number(text, &value, &end);
	if (r < 0)
		return r;
	switch (*end) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	case '\0':
		*ret_bytes = value;
		return 0;
	default:
		return -EINVAL;
	}
	if (end[1])
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

static int64_t duration_unit(const char *text)
{
	static const struct {
		const char *text;
		int64_t ns;
	} units[] = {
		{"ms", NSEC_PER_MSEC},	    {"s", NSEC_PER_SEC},	 {"m", 60 * NSEC_PER_SEC},
		{"h", 3600 * NSEC_PER_SEC}, {"d", 86400 * NSEC_PER_SEC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(text, units[i].text) == 0)
			return units[i].ns;
	return 0;
}

int parse_duration(const char *text, int64_t *ret_ns)
{
	const char *end, *decimals = NULL;
	int64_t unit, place, ns;
	uint64_t value;
	int r;

	r = read_number(text, &value, &end);
	if (r < 0)
		return r;
	if (*end == '.') {
		decimals = ++end;
		while (is_digit(*end))
			end++;
		if (end == decimals)
			return -EINVAL;
	}
	unit = duration_unit(end);
	if (unit == 0) {
		/* Only 0 needs no unit. */
		if (*end || value || decimals)
			return -EINVAL;
		*ret_ns = 0;
		return 0;
	}
	if (value > INT64_MAX || __builtin_mul_overflow((int64_t)value, unit, &ns))
		return -ERANGE;
	place = unit;
	for (; decimals && is_digit(*decimals); decimals++) {
		place /= 10;
		if (__builtin_add_overflow(ns, place * (*decimals - '0'), &ns))
			return -ERANGE;
	}
	*ret_ns = ns;
	return 0;
}

int parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*ret_value = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int parse_list(const char *text, char ***ret_list)
{
	char **list = NULL;
	size_t n = 0;

	for (;;) {
		const char *comma = strchrnul(text, ',');
		const char *start = text, *end = comma;

		while (start < end && is_blank(*start))
			start++;
		while (start < end && is_blank(end[-1]))
			end--;
		if (start < end) {
			char **longer = reallocarray(list, n + 2, sizeof(*list));

			if (!longer)
				goto no_memory;
			list = longer;
			list[n + 1] = NULL;
			list[n] = strndup(start, (size_t)(end - start));
			if (!list[n])
				goto no_memory;
			n++;
		}
		if (!*comma)
			break;
		text = comma + 1;
	}
	*ret_list = list;
	return 0;

no_memory:
	strv_free(list);
	return -ENOMEM;
}

int text_copy(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

int strv_copy(char *const *list, char ***ret_copy)
{
	char **copy;
	size_t n = 0;

	*ret_copy = NULL;
	while (list && list[n])
		n++;
	if (n == 0)
		return 0;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			strv_free(copy);
			return -ENOMEM;
		}
	}
	*ret_copy = copy;
	return copy ? 0 : -ENOMEM;
}

void strv_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool strv_equal(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}
