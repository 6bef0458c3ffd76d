/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Figures as people read them. Each writes a text into a buffer of UNITS_TEXT_MAX bytes and returns it. */

#include <stdint.h>

#define UNITS_TEXT_MAX 32

/* "532 B", "1.46 KiB", "12.3 MiB": three digits, powers of 1024. */
const char *units_bytes(uint64_t bytes, char *ret_text);
/* "532 B/s"; ns is the time over which the bytes were counted (0: ""). */
const char *units_byte_rate(uint64_t bytes, int64_t ns, char *ret_text);
/* Exact up to 9,999,999, then "12.3 M". */
const char *units_count(uint64_t count, char *ret_text);
/* "-" where bytes were counted and their packets were not: by a tunnel's own counters. */
const char *units_packets(uint64_t packets, uint64_t bytes, char *ret_text);
/* Whole seconds and up: "5 s", "1 min 12 s", "3 h 5 min", "12 d 4 h"; below "100 ms", "45 us". */
const char *units_duration(int64_t ns, char *ret_text);
