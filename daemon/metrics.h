/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Metrics for Prometheus. */

#include <stdbool.h>

struct daemon;

/*
 * The metrics as text; owned by the caller, NULL without memory. with_peers: also of single peers, as far as
 * metrics-peers allows, with their names.
 */
char *metrics_new(struct daemon *daemon, bool with_peers);
/* Passes them on, with peers, to where metrics-listen and metrics-textfile say. */
void metrics_publish(struct daemon *daemon);
