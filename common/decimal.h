/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Decimal text of numbers, fast: a message of a hundred thousand entries holds half a million numbers.
 * Inline, because it makes up the encoder's inner loop.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DECIMAL_TEXT_MAX 20 /* digits of UINT64_MAX; no NUL is written */

/* "00" to "99", two characters each, no NUL. */
extern const char decimal_pairs[200];

static inline unsigned int decimal_digits(uint64_t value)
{
	unsigned int n = 1;

	while (value >= 10000) {
		value /= 10000;
		n += 4;
	}
	return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Writes the digits, and nothing beyond them (no NUL). Returns their number. */
static inline size_t decimal_format(uint64_t value, char *ret_text)
{
	unsigned int n = decimal_digits(value);
	char *p = ret_text + n;

	while (value >= 100) {
		p -= 2;
		memcpy(p, decimal_pairs + 2 * (value % 100), 2);
		value /= 100;
	}
	if (value >= 10)
		memcpy(p - 2, decimal_pairs + 2 * value, 2);
	else
		p[-1] = (char)('0' + value);
	return n;
}
