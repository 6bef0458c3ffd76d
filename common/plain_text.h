/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Text from elsewhere that goes to a terminal or into a log: without what could steer the one or forge lines
 * of the other. That is C0, DEL and C1, separators of lines and paragraphs, and the characters that change
 * the direction of what follows (Unicode Standard Annex 9; CVE-2021-42574).
 */

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at text (RFC 3629), which ends with a NUL; 0 if it is none. */
size_t plain_text_character(const char *text);
/* Whether the character of this many bytes is one of those. */
bool plain_text_is_control(const char *text, size_t n);
/* Whether a text is valid UTF-8 without them. */
bool plain_text_is(const char *text);
/* Replaces each of them, and each byte that is not UTF-8, by a '?', in place. Returns the length, which is at
 * most what it was. */
size_t plain_text_clean(char *text);
