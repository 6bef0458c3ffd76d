/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * CRC32C (Castagnoli, RFC 3720 appendix B.4): the checksum of everything that the programs keep on disk. Uses
 * the CPU's instruction where it has one.
 */

#include <stddef.h>
#include <stdint.h>

/* Continues from an earlier result, 0 at first: crc32c(crc32c(0, a), b) is that of a and b together. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* Without the instruction: for CPUs that lack it, and for tests. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t n);
