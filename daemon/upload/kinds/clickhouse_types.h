/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Whether a column's type can hold what our rows have for it. A server stores what does not fit without a
 * word where it can: a UInt8 takes bytes modulo 256, and a seq modulo 256 destroys the rows' key. So a type
 * is refused that is known to be too narrow or of another kind; one that is not known here is let pass.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * column: one of ours; event: of the table of events. type: n bytes as DESCRIBE gives them, TabSeparated.
 * NULL if the type fits, else what the column needs, for people.
 */
const char *clickhouse_type_needed(const char *column, bool event, const char *type, size_t n);
