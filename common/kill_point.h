/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Named points at which a test ends the process with SIGKILL, as a power cut or the kernel would. Only in
 * builds with -Dkill-points=true; otherwise they do nothing. The environment names one:
 * NETLOGD_KILL_POINT=name, or name:N for the Nth time that it is passed (from 1).
 */

#include <stddef.h>

/* Ends the process here, if this is the point and the time. */
void kill_point(const char *name);
/* How much of n bytes to write before the kill_point(name) that follows: about half if that will end the
 * process, else n. */
size_t kill_point_cut(const char *name, size_t n);
