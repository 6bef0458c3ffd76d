/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Descriptors are a limited resource (RLIMIT_NOFILE) that clients share with the program's own work: files
 * that are opened for a moment, sockets to the kernel, new devices. The last ones are kept for that work.
 */

#include <stdbool.h>

#define DESCRIPTORS_RESERVED 24

/* Raises the soft limit to the hard one, as far as that is of use. 0 or -errno. */
int descriptors_raise_limit(void);
/* Whether a descriptor just opened is one of the last DESCRIPTORS_RESERVED: too few are left to serve a
 * client. */
bool descriptor_is_reserved(int fd);
