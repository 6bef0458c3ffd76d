/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Messages as people read them: a line that says when and who, and a table of connections by class. */

#include "common/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl;
struct message;

#define PROTO_TEXT_MAX 16

/* "tcp", "icmp", "47"; "-" for 0, "fragment" for 255. Returns ret_text or a constant. */
const char *proto_text(uint8_t proto, char ret_text[static PROTO_TEXT_MAX]);

/*
 * An endpoint: without its port if that is 0, "-" if it is none. With a name it stands for the address
 * ("server:22"). Owned by the caller; NULL: no memory.
 */
char *endpoint_text(const struct endpoint *endpoint, const char *name);

/*
 * Prints a message, text messages as one line. resolve: the node names that it holds instead of addresses.
 * CTL_OK or CTL_FAILED with a message.
 */
int message_table_print(struct ctl *ctl, const struct message *message, bool resolve);

/*
 * Parses a line and prints it, as the line with --json. Text that is no message is an error: CTL_FAILED, with
 * a message.
 */
int message_line_print(struct ctl *ctl, const char *data, size_t length, bool resolve);
