/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A plain model of how a packet becomes a connection: written to be read beside the table that it follows,
 * with no thought of speed, and apart from every decoder that is used.
 */

#include "common/connection.h"

#include <stddef.h>
#include <stdint.h>

/* The connection of a packet from its IP header on, as if transmitted. */
struct connection model_decode(const uint8_t *packet, size_t length);
