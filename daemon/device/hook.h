/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A counting program's place on an interface: ahead of every other program, so that none can hide a packet
 * from it, and gone when its process is gone. By TCX (kernel 6.6), or on older kernels by a clsact filter.
 */

#include "common/cleanup.h"

#include <errno.h>
#include <stdbool.h>

enum hook_direction { HOOK_INGRESS, HOOK_EGRESS };

struct hook;

struct hook_options {
	unsigned int ifindex;
	enum hook_direction direction;
	int program_fd;	  /* borrowed, for the call */
	bool without_tcx; /* tests: attach as on a kernel without TCX */
};

/*
 * 0; -ENODEV: no such interface; -EPERM; -EOPNOTSUPP: the kernel has no such hook; -EBUSY: others occupy it;
 * or another -errno.
 */
int hook_attach(const struct hook_options *options, struct hook **ret_hook);
/* Detaches; a program that is running at this moment still finishes its run. */
void hook_free(struct hook *hook);
DEFINE_CLEANUP(struct hook *, hook_free);

/* Replaces the program; every packet runs either the old or the new one. 0 or -errno. */
int hook_replace(struct hook *hook, int program_fd);

/* "tcx" or "clsact". */
const char *hook_kind(const struct hook *hook);
/* Why it is not TCX; NULL when it is. Valid as long as the hook. */
const char *hook_reason(const struct hook *hook);
/* 0; -ENODEV: the interface is gone, or the program was removed from it; or another -errno: could not ask. */
int hook_check(const struct hook *hook);
/* False only when hook_check() knows that it is not. */
static inline bool hook_is_attached(const struct hook *hook)
{
	return hook_check(hook) != -ENODEV;
}
/*
 * Makes the program, which it is given once more, the first of the TCX programs again. For some microseconds
 * in between, no packet runs it; none runs it twice. 0; -EOPNOTSUPP: not by TCX; or another -errno, and
 * nothing has changed.
 */
int hook_go_ahead(struct hook *hook, int program_fd);
/* True when another program (XDP, TCX or a filter) sees packets before this one, unless it is the counting
 * program of another daemon that lives. */
bool hook_has_program_ahead(const struct hook *hook);
