/* SPDX-License-Identifier: BSD-3-Clause */
/* Operators rarely type RFC 3339, so shorter forms are read too. */

#include "control/when.h"

#include "common/cleanup.h"
#include "common/parse.h"
#include "common/time_text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define NSEC_PER_DAY (86400 * NSEC_PER_SEC)

/* In a shape, "0" stands for any digit. */
static bool has_shape(const char *text, const char *shape)
{
	for (; *text && *shape; text++, shape++)
		if (*shape == '0' ? !isdigit((unsigned char)*text) : *text != *shape)
			return false;
	return *text == *shape;
}

static int parse_date(const char *text, int64_t *ret_time)
{
	char full[32];

	if (has_shape(text, "0000-00-00"))
		snprintf(full, sizeof(full), "%.10sT00:00:00Z", text);
	else if (has_shape(text, "0000-00-00 00:00"))
		snprintf(full, sizeof(full), "%.10sT%.5s:00Z", text, text + 11);
	else if (has_shape(text, "0000-00-00 00:00:00"))
		snprintf(full, sizeof(full), "%.10sT%.8sZ", text, text + 11);
	else
		return -EINVAL;
	return time_parse(full, ret_time);
}

/* "1h30m", "10m ago": each number with its unit, largest or smallest first. */
static int parse_age(const char *text, int64_t *ret_age)
{
	int64_t age = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	while (*text && strcmp(text, " ago") != 0) {
		size_t digits = strspn(text, "0123456789."), letters = 0;
		char part[32];
		int64_t ns;

		while (isalpha((unsigned char)text[digits + letters]))
			letters++;
		if (digits == 0 || letters == 0 || digits + letters >= sizeof(part))
			return -EINVAL;
		memcpy(part, text, digits + letters);
		part[digits + letters] = '\0';
		if (parse_duration(part, &ns) < 0 || __builtin_add_overflow(age, ns, &age))
			return -EINVAL;
		text += digits + letters;
	}
	*ret_age = age;
	return 0;
}

int when_parse(const char *text, int64_t now, int64_t *ret_time)
{
	int64_t today = now - (now % NSEC_PER_DAY + NSEC_PER_DAY) % NSEC_PER_DAY, age;

	if (strcmp(text, "now") == 0)
		*ret_time = now;
	else if (strcmp(text, "today") == 0)
		*ret_time = today;
	else if (strcmp(text, "yesterday") == 0)
		*ret_time = today - NSEC_PER_DAY;
	else if (time_parse(text, ret_time) == 0 || parse_date(text, ret_time) == 0)
		return 0;
	else if (parse_age(text, &age) < 0 || __builtin_sub_overflow(now, age, ret_time))
		return -EINVAL;
	return 0;
}
