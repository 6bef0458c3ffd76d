/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* From a command line to a command. */

#include "control/ctl.h"

/* In the order of the help; the last entry has no name. */
extern const struct ctl_command ctl_commands[];

/*
 * Runs a command line (argv[0] is the program) and returns an exit status. The caller sets in, out, err,
 * out_is_terminal and color.
 */
int ctl_main(struct ctl *ctl, int argc, char **argv);
