/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What fuzz targets share. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert(), but never compiled out: a broken promise is a finding. */
#define REQUIRE(condition)                                                                                   \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* The input as a text: ends at its first NUL. The caller frees it. */
static inline char *text_of_input(const uint8_t *data, size_t size)
{
	char *text = strndup(size ? (const char *)data : "", size);

	REQUIRE(text);
	return text;
}
