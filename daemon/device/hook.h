/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A counting program's place on an interface: ahead of every other program, so that none can hide a packet
 * from it, and gone when its owner is gone. By TCX (kernel 6.6); where the kernel has none, by a clsact
 * filter.
 */

#include <stdbool.h>

enum hook_direction { HOOK_INGRESS, HOOK_EGRESS };

struct hook;

struct hook_options {
	unsigned int ifindex;
	enum hook_direction direction;
	int program_fd;	  /* borrowed, for the call */
	bool without_tcx; /* for tests */
};

/*
 * 0; -ENODEV without that interface; -EPERM; -EOPNOTSUPP when the kernel offers no place; -EBUSY when others
 * leave none; another -errno.
 */
int hook_attach(const struct hook_options *options, struct hook **ret_hook);
/* Detaches; programs that run at this moment may still end their run. */
void hook_free(struct hook *hook);

/* Puts another program in the place of the one that is there: each packet runs one of them. 0 or -errno. */
int hook_replace(struct hook *hook, int program_fd);

/* "tcx" or "clsact". */
const char *hook_kind(const struct hook *hook);
/* Why not the better one; NULL when it is. Valid as long as the hook. */
const char *hook_reason(const struct hook *hook);
/* False when the interface or the place on it is gone. */
bool hook_is_attached(const struct hook *hook);
/* True when another program (XDP, TCX or a filter) sees packets before this one. */
bool hook_has_program_ahead(const struct hook *hook);
