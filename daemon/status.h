/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The Status of the control interface. */

#include <jansson.h>

struct daemon;

/* A new object: numbers, no lists of nodes, routes or peers (see lists.h). NULL without memory. */
json_t *status_new(struct daemon *daemon);
