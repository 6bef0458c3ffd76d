/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCX links where the kernel has them, else clsact. libbpf 1.1 has no functions for TCX, but its
 * bpf_link_create() passes on types that it does not know; the numbers below are from the kernel's
 * include/uapi/linux/bpf.h (6.6).
 */

#include "daemon/device/hook.h"

#include "common/cleanup.h"
#include "daemon/device/clsact.h"
#include "daemon/device/held_name.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { ATTACH_TCX_INGRESS = 46, ATTACH_TCX_EGRESS = 47 };

#define FLAG_BEFORE (1U << 3) /* without a program to be before: the first of all */

#define MAX_QUERIED 64
#define NAME_SIZE   64

struct hook {
	unsigned int ifindex;
	enum hook_direction direction;
	int link_fd;	       /* -1: not by TCX */
	int name_fd;	       /* holds the program's name; -1: nothing does */
	struct clsact *clsact; /* NULL: not by clsact */
	char reason[80];
};

static enum bpf_attach_type tcx_type(enum hook_direction direction)
{
	return (enum bpf_attach_type)(direction == HOOK_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS);
}

static int program_id(int program_fd, uint32_t *ret_id)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &length))
		return -errno;
	*ret_id = info.id;
	return 0;
}

/* Of a program in its place. The interface is part of it since a program may have several places. */
static void write_name(char name[static NAME_SIZE], uint32_t id, unsigned int ifindex)
{
	snprintf(name, NAME_SIZE, "netlogd-program:%u:%u", id, ifindex);
}

/* What others' programs are, the kernel tells only to who may administer the whole system. So each of ours
 * has a name that its daemon holds. Without it nothing is lost: another daemon puts its program ahead. */
static void hold_name(struct hook *hook, int program_fd)
{
	char name[NAME_SIZE];
	uint32_t id = 0;

	hook->name_fd = safe_close(hook->name_fd);
	if (program_id(program_fd, &id) < 0)
		return;
	write_name(name, id, hook->ifindex);
	held_name_take(name, &hook->name_fd);
}

int hook_attach(const struct hook_options *options, struct hook **ret_hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, link_options, .flags = FLAG_BEFORE);
	_cleanup_(hook_freep) struct hook *hook = calloc(1, sizeof(*hook));
	int r = -EOPNOTSUPP;

	if (!hook)
		return -ENOMEM;
	hook->ifindex = options->ifindex;
	hook->direction = options->direction;
	hook->link_fd = hook->name_fd = -1;
	if (!options->without_tcx) {
		hook->link_fd = bpf_link_create(options->program_fd, (int)options->ifindex,
						tcx_type(options->direction), &link_options);
		r = hook->link_fd < 0 ? -errno : 0;
	}
	/* A kernel without TCX does not know the number and says -EINVAL. With these three, clsact would fail
	 * too. */
	if (r < 0 && r != -ENODEV && r != -EPERM && r != -ENOMEM) {
		snprintf(hook->reason, sizeof(hook->reason), "no TCX on this kernel (%s)", strerror(-r));
		r = clsact_attach(options->ifindex, options->direction == HOOK_INGRESS, options->program_fd,
				  &hook->clsact);
	}
	if (r < 0)
		return r;
	if (!hook->clsact)
		hold_name(hook, options->program_fd);
	*ret_hook = TAKE_PTR(hook);
	return 0;
}

void hook_free(struct hook *hook)
{
	if (!hook)
		return;
	safe_close(hook->link_fd);
	safe_close(hook->name_fd);
	clsact_free(hook->clsact);
	free(hook);
}

int hook_replace(struct hook *hook, int program_fd)
{
	if (hook->clsact)
		return clsact_replace(hook->clsact, program_fd);
	if (bpf_link_update(hook->link_fd, program_fd, NULL))
		return -errno;
	hold_name(hook, program_fd);
	return 0;
}

const char *hook_kind(const struct hook *hook)
{
	return hook->clsact ? "clsact" : "tcx";
}

const char *hook_reason(const struct hook *hook)
{
	return hook->clsact ? hook->reason : NULL;
}

static int link_get_info(const struct hook *hook, struct bpf_link_info *ret_info)
{
	uint32_t length = sizeof(*ret_info);

	*ret_info = (struct bpf_link_info){};
	return bpf_obj_get_info_by_fd(hook->link_fd, ret_info, &length) ? -errno : 0;
}

int hook_check(const struct hook *hook)
{
	struct bpf_link_info info;
	int r;

	if (hook->clsact)
		return clsact_check(hook->clsact);
	r = link_get_info(hook, &info);
	if (r < 0)
		return r;
	/* The member tcx lies where xdp does. Its index is 0 once the interface is gone. */
	return info.xdp.ifindex == hook->ifindex ? 0 : -ENODEV;
}

/* A program that does nothing, in place of one that counts. A descriptor, or -errno. */
static int load_idle(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "netlogd_idle", "Dual BSD/GPL", code,
			       ARRAY_SIZE(code), NULL);

	return fd < 0 ? -errno : fd;
}

/* A link keeps its place, so there must be a new one. No program can be attached twice to a hook. */
int hook_go_ahead(struct hook *hook, int program_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = FLAG_BEFORE);
	_cleanup_close_ int first = -1, idle = -1, idle_too = -1;
	int r;

	if (hook->clsact)
		return -EOPNOTSUPP;
	idle = load_idle();
	idle_too = load_idle();
	if (idle < 0 || idle_too < 0)
		return idle < 0 ? idle : idle_too;
	first = bpf_link_create(idle, (int)hook->ifindex, tcx_type(hook->direction), &options);
	if (first < 0)
		return -errno;
	if (bpf_link_update(hook->link_fd, idle_too, NULL))
		return -errno;
	if (bpf_link_update(first, program_fd, NULL)) {
		r = -errno;
		bpf_link_update(hook->link_fd, program_fd, NULL);
		return r;
	}
	close(hook->link_fd);
	hook->link_fd = TAKE_FD(first);
	return 0;
}

static bool is_a_daemons(uint32_t id, unsigned int ifindex)
{
	char name[NAME_SIZE];

	write_name(name, id, ifindex);
	return held_name_ask(name) == 1;
}

bool hook_has_program_ahead(const struct hook *hook)
{
	uint32_t ids[MAX_QUERIED], count = MAX_QUERIED, flags = 0, xdp = 0;
	struct bpf_link_info info = {};

	if (hook->direction == HOOK_INGRESS && bpf_xdp_query_id((int)hook->ifindex, 0, &xdp) == 0 && xdp != 0)
		return true;
	if (hook->clsact && clsact_has_filter_ahead(hook->clsact))
		return true;
	if (bpf_prog_query((int)hook->ifindex, tcx_type(hook->direction), 0, &flags, ids, &count) &&
	    errno != ENOSPC)
		return false;
	if (!hook->clsact && link_get_info(hook, &info) < 0)
		return false;
	/* Those of other daemons hide nothing: this may be one's tunnel, and another one's way to its peers.
	 */
	for (uint32_t i = 0; i < MIN(count, (uint32_t)MAX_QUERIED) && ids[i] != info.prog_id; i++)
		if (!is_a_daemons(ids[i], hook->ifindex))
			return true;
	return false;
}
