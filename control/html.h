/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The page that `netlogctl report` writes: one file that loads nothing from elsewhere. */

#include "control/flow_sum.h"

#include <stdio.h>

/* Text between tags or in an attribute: escaped, without control characters. */
void html_text(FILE *file, const char *text);

/* The page up to and including its title; and its end. */
void html_begin(FILE *file, const char *title);
void html_end(FILE *file);
/* A heading and a table of the rows, at most limit of each class. */
void html_rows(FILE *file, const char *heading, enum flow_group group, const struct flow_row *rows, size_t n,
	       size_t limit);

/* Bytes by class; the bars split the time into equal parts, oldest first. */
struct html_bar {
	uint64_t bytes[N_CLASSES];
};
/* A chart of stacked bars, without physical traffic, which carries the other classes again. */
void html_chart(FILE *file, const struct html_bar *bars, size_t n, int64_t from, int64_t to);
