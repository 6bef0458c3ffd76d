/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What every program tells Prometheus of itself, beyond what Status holds. */

struct buffer;

/* Of this process. What the kernel does not tell is left out. Names begin with the prefix and "process_". */
void metrics_write_process(struct buffer *text, const char *prefix);
