/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Prometheus' text format 0.0.4, line by line. Errors stick to the buffer. */

#include <stdint.h>

struct buffer;

struct label {
	const char *name;
	const char
		*value; /* any text: it is escaped, and what is not UTF-8, or steers terminals, is U+FFFD */
};

/* type: "counter" or "gauge"; help: one line. */
void exposition_family(struct buffer *text, const char *name, const char *type, const char *help);
/* labels: ended by one without a name; NULL: none. One whose value is NULL or "" is left out. */
void exposition_integer(struct buffer *text, const char *name, const struct label *labels, int64_t value);
void exposition_number(struct buffer *text, const char *name, const struct label *labels, double value);
