/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Routes and nodes as Status and the lists show them. */

#include <jansson.h>

struct config;
struct discovery;
struct node;
struct routes;

/* RoutesStatus: numbers. The discovery may be NULL. */
json_t *routes_status(const struct routes *routes, const struct config *config,
		      const struct discovery *discovery);
/* Node; NULL without memory. */
json_t *node_status(const struct node *node);
