/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A program's place on an interface where there is no TCX: a filter of the qdisc clsact. A filter outlives
 * the process that made it, so ours is only a stub that calls the real program through a table which the
 * process alone holds: when the process ends, however it ends, the table is emptied and the stub does
 * nothing. Such a leftover is removed by the next one that comes. The qdisc is never removed: others may use
 * it.
 */

#include "daemon/device/hook.h"

#include <stdbool.h>

struct clsact;

/* 0; -ENODEV without that interface; -EPERM; -EBUSY where others leave no place; another -errno. */
int clsact_attach(const struct hook_options *options, struct clsact **ret_clsact);
void clsact_free(struct clsact *clsact);
/* Lets the filter run another program. 0 or -errno. */
int clsact_replace(struct clsact *clsact, int program_fd);

bool clsact_is_attached(const struct clsact *clsact);
/* True when a filter before ours, or a TCX program, sees packets first. */
bool clsact_has_filter_ahead(const struct clsact *clsact);
