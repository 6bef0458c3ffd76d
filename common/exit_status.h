/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* How a program's end is to be understood, beside the codes of <sysexits.h>. */

#include <sysexits.h>

/*
 * The uploader has ended in order, in the middle of nothing, because it needs what its confinement no longer
 * allows: it is to be started again at once. For its unit that is a success (SuccessExitStatus=).
 */
#define EXIT_START_AGAIN EX_TEMPFAIL
