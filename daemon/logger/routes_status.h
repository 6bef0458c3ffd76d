/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Routes and nodes as Status and the lists show them. */

#include <jansson.h>

struct config;
struct discovery;
struct nodes;
struct routes;

#define NODES_SHOWN_MAX 10000

/* RoutesStatus: numbers. The discovery may be NULL. */
json_t *routes_status(const struct routes *routes, const struct config *config,
		      const struct discovery *discovery);
/* {"nodes":[Node...]}, NODES_SHOWN_MAX at most. */
json_t *nodes_status(const struct nodes *nodes);
