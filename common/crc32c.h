/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * CRC32C (Castagnoli, RFC 3720 appendix B.4): the checksum of everything that this program keeps on disk. By
 * the CPU's own instruction where there is one.
 */

#include <stddef.h>
#include <stdint.h>

/* Goes on from a former result (0 to begin with): crc32c(crc32c(0, a), b) is that of a and b together. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* The same without the instruction, for machines that lack it and for tests. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t n);
