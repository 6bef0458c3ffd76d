/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The text message that tells a sink of lost messages, in their place in the stream. */

#include "common/buffer.h"
#include "common/spool/cursor.h"

/*
 * Appends {"logtail":{"client_time":...,"proc_id":...},"text":"netlogd: lost ..."}: one line, the same for
 * the same loss. Errors stick to the buffer.
 */
void sink_loss_encode(struct buffer *buffer, const struct cursor_loss *loss);
/* The proc_id of a message (one line of JSON); 0 if it has none. */
uint32_t message_proc_id(const char *message, size_t n);
