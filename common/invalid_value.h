/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The text of a refused value, for the errors InvalidRoute and InvalidNode: valid UTF-8, bounded. */

#include <jansson.h>

#define INVALID_VALUE_MAX 256 /* bytes, without the NUL */

/* Both return -EINVAL with the text in *ret_value (owned by the caller), or -ENOMEM. */
int invalid_value(const char *text, char **ret_value);
/* A text as it is, anything else as JSON. */
int invalid_value_json(const json_t *value, char **ret_value);
