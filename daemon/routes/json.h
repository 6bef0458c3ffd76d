/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The control interface's Routes object. */

#include "common/config/config.h"

#include <jansson.h>

#define ROUTES_MAX 200000 /* prefixes in one list */

/*
 * A list that is missing or null is empty. 0, -ENOMEM, or -EINVAL with the text of what is wrong in
 * *ret_value (owned by the caller; for InvalidRoute): not a prefix, an unknown member, a member that is not a
 * list of texts.
 */
int routes_from_json(const json_t *object, struct route_lists *ret_lists, char **ret_value);
