/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The packets of tests/vectors/, each with the connection and bytes that every source must make of it. */

#include "common/connection.h"

#include <stddef.h>
#include <stdint.h>

struct vector {
	char *name;
	uint8_t *packet; /* exactly `length` bytes allocated */
	size_t length;
	struct connection connection; /* as if transmitted */
	uint64_t bytes;
};

struct vectors {
	struct vector *items;
	size_t n;
};

/*
 * Reads a file of the vectors' directory: the environment's NETLOGD_VECTORS, else the source tree's. Ends the
 * test program on failure.
 */
void vectors_load(struct vectors *vectors, const char *file);
void vectors_deinit(struct vectors *vectors);

/* The connection as seen by the node that received the packet. */
struct connection connection_swapped(const struct connection *connection);
