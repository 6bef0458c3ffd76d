/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Our other programs, as seen from this one. */

#include <stddef.h>

/*
 * The first of these paths that may be executed; those that do not begin with '/' begin at the folder of the
 * running program. Owned by the caller; NULL: there is none.
 */
char *program_find(const char *const *places, size_t n);
