/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A program's hook on an interface of a kernel without TCX: a filter of the qdisc clsact. A filter outlives
 * the process that made it, so ours is only a stub that calls the real program through a table that only the
 * process holds: when the process ends, for whatever reason, the kernel empties the table and the stub does
 * nothing. The next instance that attaches removes such a leftover. The qdisc is never removed: others may
 * use it.
 */

#include "common/cleanup.h"

#include <stdbool.h>

struct clsact;

/*
 * program_fd is borrowed for the call. 0; -ENODEV: no such interface; -EPERM; -EBUSY: others occupy the hook;
 * or another -errno.
 */
int clsact_attach(unsigned int ifindex, bool ingress, int program_fd, struct clsact **ret_clsact);
void clsact_free(struct clsact *clsact);
DEFINE_CLEANUP(struct clsact *, clsact_free);
/* Makes the filter run another program. 0 or -errno. */
int clsact_replace(struct clsact *clsact, int program_fd);

/* 0; -ENODEV: the filter is gone; or another -errno: could not ask. */
int clsact_check(const struct clsact *clsact);
/* True when another filter runs before ours, unless it is another daemon's that lives. */
bool clsact_has_filter_ahead(const struct clsact *clsact);
