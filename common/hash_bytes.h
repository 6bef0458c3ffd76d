/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A hash of bytes, eight at a time: to see what has changed, and for tables. Not a cryptographic one: whoever
 * chooses the bytes can choose the hash. */

#include <stddef.h>
#include <stdint.h>

/* sum: 0, or the hash of what came before. */
uint64_t hash_bytes(uint64_t sum, const void *data, size_t size);
