/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the counting programs' maps cost, for `status`. */

#include <stdint.h>

/* Bytes of kernel memory that a map takes, as the kernel accounts for it (fdinfo); 0 if unknown. */
uint64_t map_memory(int fd);
