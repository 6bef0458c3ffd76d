/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>

/*
 * Whether counting programs on one CPU can preempt each other: on a kernel with PREEMPT_RT, whose softirqs
 * are threads. (https://docs.kernel.org/locking/locktypes.html, "CPU local scope and bottom-half")
 */
bool programs_preempt(void);
