/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * For a process that needs no rights: gives up all capabilities, for good, and ends when the thread that
 * started it does. 0 or -errno; -EPERM when it still has some and cannot give them up.
 */
int confine(void);
