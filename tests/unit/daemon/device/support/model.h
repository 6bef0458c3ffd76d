/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A plain model of how a packet becomes a connection: to be read beside the table that it follows, without
 * regard for speed, and independent of the decoder.
 */

#include "common/connection.h"

#include <stddef.h>
#include <stdint.h>

/* The connection of a packet from its IP header on, as if transmitted. */
struct connection model_decode(const uint8_t *packet, size_t length);
/* Where the TCP header of a packet is that model_decode() says is of TCP. */
const uint8_t *model_tcp_header(const uint8_t *packet);
