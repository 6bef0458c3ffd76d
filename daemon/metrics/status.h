/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What Status holds, as metrics. */

#include <jansson.h>

struct buffer;

/* Members that are missing are left out, or 0 where they count something. */
void metrics_write_status(struct buffer *text, const json_t *status);
/* What every program tells of itself, as far as Status holds it: names begin with the prefix and "process_".
 */
void metrics_write_process_status(struct buffer *text, const json_t *status, const char *prefix);
