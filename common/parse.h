/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Numbers, sizes, durations, hex digits and lists in text that comes from outside. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal, no sign, nothing around it. 0, -EINVAL or -ERANGE. */
int parse_u64(const char *text, uint64_t *ret_value);
/* Exactly 2 n hex digits of either case, as n bytes. Fit for secrets: it leaves no copy. 0 or -EINVAL with
 * nothing written. */
int parse_hex(const char *text, uint8_t *ret_bytes, size_t n);
/* "512M": K, M, G are powers of 1024. 0, -EINVAL or -ERANGE. */
int parse_size(const char *text, uint64_t *ret_bytes);
/* "5s", "100ms", "15m", "2h", "7d", "0"; "1.5s" too. Nanoseconds. 0, -EINVAL or -ERANGE. */
int parse_duration(const char *text, int64_t *ret_ns);
/* yes/no, true/false, on/off, 1/0. 0 or -EINVAL. */
int parse_bool(const char *text, bool *ret_value);
/* Splits at commas, trims blanks, drops empty items. The list ends with NULL and is NULL when empty. 0 or
 * -ENOMEM. */
int parse_list(const char *text, char ***ret_list);

/* Copies owned by the caller, NULL for NULL (and of an empty list). 0 or -ENOMEM with NULL. */
int text_copy(const char *text, char **ret_copy);
int strv_copy(char *const *list, char ***ret_copy);
void strv_free(char **list);
/* NULL equals only NULL. */
bool text_equal(const char *a, const char *b);
/* The same texts in the same order; NULL equals only NULL. */
bool strv_equal(char *const *a, char *const *b);
