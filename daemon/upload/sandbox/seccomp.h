/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Which system calls the uploader can make. */

/* Restricts this process and its threads to come. 0 or -errno. */
int seccomp_restrict(void);
