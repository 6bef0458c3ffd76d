/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From now on the kernel writes no core dump of this process, whatever the limits and the pattern say, and
 * only root can read its memory: log IDs and credentials pass through it. 0 or -errno.
 */
int core_dump_forbid(void);
