/* SPDX-License-Identifier: BSD-3-Clause */
/* The three kinds of members that make up status. */

#include "common/json_set.h"

#include "common/cleanup.h"
#include "common/time_text.h"

void json_set_text(json_t *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(object, name, json_string(text));
}

void json_set_number(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name, json_integer((json_int_t)MIN(number, (uint64_t)INT64_MAX)));
}

void json_set_time(json_t *object, const char *name, int64_t wall)
{
	char text[TIME_TEXT_MAX];

	if (wall == 0)
		return;
	time_format(wall, text);
	json_set_text(object, name, text);
}
