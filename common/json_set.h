/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Members of a JSON object that are left out when empty: most of what status shows. Without memory a member
 * is left out too.
 */

#include <jansson.h>
#include <stdint.h>

/* NULL and "" are left out. */
void json_set_text(json_t *object, const char *name, const char *text);
/* Beyond INT64_MAX: INT64_MAX. */
void json_set_number(json_t *object, const char *name, uint64_t number);
/* Wall time in ns as RFC 3339; 0 is left out. */
void json_set_time(json_t *object, const char *name, int64_t wall);
