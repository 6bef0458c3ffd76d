/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The Status of the control interface. */

#include <jansson.h>
#include <stdbool.h>

struct daemon;

/* A new object, with the lists of nodes and routes or only their lengths. NULL without memory. */
json_t *status_new(struct daemon *daemon, bool lists);
