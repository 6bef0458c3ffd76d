/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The page that `netlogctl report` makes: one file without anything from elsewhere. */

#include "control/flow_sum.h"

#include <stdio.h>

/* Text between tags or in an attribute: what HTML would take for its own is escaped. */
void html_text(FILE *file, const char *text);

/* The page up to and with its title; and its end. */
void html_begin(FILE *file, const char *title);
void html_end(FILE *file);
/* A heading and a table of the rows, at most limit of each class. */
void html_rows(FILE *file, const char *heading, enum flow_group group, const struct flow_row *rows, size_t n,
	       size_t limit);

/* Bytes by class in equal parts of the time, oldest first. */
struct html_bar {
	uint64_t bytes[N_CLASSES];
};
/* A chart of stacked bars, physical traffic left out: it carries the others once more. */
void html_chart(FILE *file, const struct html_bar *bars, size_t n, int64_t from, int64_t to);
