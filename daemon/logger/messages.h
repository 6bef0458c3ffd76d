/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The last step of a window's way: messages into the spool, and text messages of the daemon's own. */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdint.h>

struct buffer;
struct logger;

/* Appends a message to the spool; time is its client_time. The spool counts what it cannot take. */
void messages_store(struct logger *logger, const struct buffer *message, int64_t time);
/* Logs a text message, with "netlogd: " before it. The event (daemon/logger/events.h) is taken. */
void messages_tell(struct logger *logger, json_t *event, const char *format, ...) _printf_(3, 4);
/* Waits until all messages are on disk, for two seconds at most. */
void messages_sync(struct logger *logger);
