/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The metrics port: serves the text that the daemon made (Prometheus text format 0.0.4), followed by two
 * counters of its own. Only GET and HEAD of /metrics.
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct metrics_http;

/* Listens on "address:port" or "[address]:port". 0, -EINVAL for any other text, or -errno. */
int metrics_http_new(struct event_base *base, const char *listen, struct metrics_http **ret_metrics);
void metrics_http_free(struct metrics_http *metrics);
/* Copies the text. metrics may be NULL. */
void metrics_http_set_text(struct metrics_http *metrics, const char *text);

/* The HTTP status for a request, given its head as received: 200, 400, 404 or 405. *ret_head: the method is
 * HEAD, so the answer has no body. */
int metrics_http_judge(const char *head, size_t n, bool *ret_head);
