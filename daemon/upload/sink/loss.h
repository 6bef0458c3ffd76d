/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Lost messages, and the text message that reports them in their place in the stream. */

#include "common/buffer.h"
#include "common/spool/cursor.h"

/* Adds a later loss to one that is reported with it. */
void loss_add(struct cursor_loss *loss, const struct cursor_loss *more);
/*
 * Appends {"logtail":{"client_time":...,"proc_id":...},"text":"netlogd: lost
 * ...","event":{"type":"lost",...}} for the sink of this name: one line, the same for the same loss. Errors
 * stick to the buffer.
 */
void loss_encode(struct buffer *buffer, const struct cursor_loss *loss, const char *sink);
/* The proc_id of a message (one line of JSON); 0 if it has none. */
uint32_t loss_proc_id(const char *message, size_t n);
