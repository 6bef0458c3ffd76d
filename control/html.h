/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The page that `netlogctl report` writes: one file that loads nothing from elsewhere. */

#include "control/chart.h"
#include "control/flow_sum.h"
#include "control/matrix.h"

#include <stdio.h>

/* Text between tags or in an attribute: escaped, without control characters. */
void html_text(FILE *file, const char *text);

/* The page up to and including its title; and its end. */
void html_begin(FILE *file, const char *title);
void html_end(FILE *file);
/* A heading and a table of the rows, at most limit of each class. */
void html_rows(FILE *file, const char *heading, enum flow_group group, const struct flow_row *rows, size_t n,
	       size_t limit);

/* A heading and the matrix; nothing where there are no two ends. */
void html_matrix(FILE *file, const struct matrix *matrix);

/*
 * Stacked bars, which split the chart's time into equal parts: bytes, without physical traffic, which carries
 * the other classes again; and connections that began, where that is known.
 */
void html_chart(FILE *file, const struct chart *chart);
