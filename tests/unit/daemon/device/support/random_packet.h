/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Random packets for the decoders: the same ones in every run. */

#include "tests/unit/daemon/device/support/vectors.h"

#include <stddef.h>
#include <stdint.h>

#define RANDOM_PACKET_MAX 400

/* A sequence of numbers (xorshift64*); the state must not be 0. */
uint32_t random_next(uint64_t *state);

/* One packet: its length, at most RANDOM_PACKET_MAX. */
size_t random_packet(uint64_t *state, const struct vectors *vectors, uint8_t *packet);
