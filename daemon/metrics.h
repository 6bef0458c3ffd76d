/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Metrics for Prometheus. */

struct daemon;

/* The metrics as text; owned by the caller, NULL without memory. */
char *metrics_new(struct daemon *daemon);
/* Passes them on to where metrics-listen and metrics-textfile say. */
void metrics_publish(struct daemon *daemon);
