/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The metrics port: hands out, to whoever asks, the text that the collector made (Prometheus text format
 * 0.0.4), and two counts of its own behind it. Serves GET and HEAD of /metrics and nothing else.
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct metrics_http;

/* Listens on "address:port" or "[address]:port". 0; -EINVAL for another text; or -errno of bind(). */
int metrics_http_new(struct event_base *base, const char *listen, struct metrics_http **ret_metrics);
void metrics_http_free(struct metrics_http *metrics);
/* Takes a copy. Does nothing for NULL. */
void metrics_http_set_text(struct metrics_http *metrics, const char *text);

/*
 * The HTTP status that a request deserves, from its head as it came: 200, 400, 404 or 405. ret_head: it is
 * HEAD, the answer has no body.
 */
int metrics_http_judge(const char *head, size_t n, bool *ret_head);
