/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Messages as people read them: a line with time and node, and a table of connections by class. */

#include "common/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl;

#define PROTO_TEXT_MAX 16

/* "tcp", "icmp", "47"; "-" for 0, "fragment" for 255. Returns ret_text or a constant. */
const char *proto_text(uint8_t proto, char ret_text[static PROTO_TEXT_MAX]);

/*
 * An endpoint: without its port if that is 0; "-" for none. A name, if given, replaces the address
 * ("server:22"). Owned by the caller; NULL: no memory.
 */
char *endpoint_text(const struct endpoint *endpoint, const char *name);

/* The endpoint by which a peer is reached, as physical traffic has it: "DERP 4" for 127.3.3.40:4, which is
 * how Tailscale writes a relay of its own by the number of the region. Otherwise as endpoint_text(). */
char *underlay_text(const struct endpoint *endpoint);

struct message_style {
	bool resolve; /* the node names that a message holds, instead of addresses */
	bool details; /* all that is known of how connections went */
};

/*
 * Prints a message given as JSON: as a table, or as one line if it is a text; as it is with --json. In the
 * table, connections are told from the end that opened them, where that is known. CTL_OK, or CTL_FAILED with
 * an error printed.
 */
int message_print(struct ctl *ctl, const char *data, size_t length, const struct message_style *style);
