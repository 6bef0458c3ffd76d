/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From now on no core dump of this process is written, whatever the limits and the pattern say, and none
 * other than root can look into its memory: log IDs and credentials pass through it. 0 or -errno.
 */
int core_dump_forbid(void);
