/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The logger as other threads see it. */

#include <jansson.h>

struct logger;
struct peer_samples;

/* Replaces the copy of the logger's part of Status that other threads read. */
void logger_publish(struct logger *logger);
void logger_publish_peers(struct logger *logger);

/* The logger's part of Status, as of its last step; a new reference. Any thread. */
json_t *logger_status(struct logger *logger);
/* The peers with most traffic, as of the last window's end; a new reference, NULL: none. Any thread. */
struct peer_samples *logger_peer_samples(struct logger *logger);
