/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The words that follow a number, in lines for people: "1 message is", "2 messages are". */

#include <stdint.h>

static inline const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}
