/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Routes and nodes as the control interface shows them. */

#include <jansson.h>

struct config;
struct nodes;
struct routes;

#define STATUS_LIST_MAX 10000 /* entries shown of one list */

/* RoutesStatus: every prefix with its origin. */
json_t *routes_status(const struct routes *routes, const struct config *config);
/* {"nodes":[Node...]} */
json_t *nodes_status(const struct nodes *nodes);
