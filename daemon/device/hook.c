/*
 * TCX links. libbpf 1.1 has no functions for TCX, but its bpf_link_create() passes on what it doesn't know;
 * the numbers below are from the kernel's include/uapi/linux/bpf.h (6.6).
 */

#include "daemon/device/hook.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

enum { ATTACH_TCX_INGRESS = 46, ATTACH_TCX_EGRESS = 47 };

#define FLAG_BEFORE (1U << 3) /* with nothing to be before: the first */

#define MAX_QUERIED 64

struct hook {
	unsigned int ifindex;
	enum bpf_attach_type attach_type;
	int link_fd;
};

static int hook_attach_tcx(const struct hook_options *options, struct hook *hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, link_options, .flags = FLAG_BEFORE);

	hook->attach_type = (enum bpf_attach_type)(options->direction == HOOK_INGRESS ? ATTACH_TCX_INGRESS
										      : ATTACH_TCX_EGRESS);
	hook->link_fd =
		bpf_link_create(options->program_fd, (int)options->ifindex, hook->attach_type, &link_options);
	return hook->link_fd < 0 ? -errno : 0;
}

int hook_attach(const struct hook_options *options, struct hook **ret_hook)
{
	struct hook *hook = calloc(1, sizeof(*hook));
	int error;

	if (!hook)
		return -ENOMEM;
	hook->ifindex = options->ifindex;
	hook->link_fd = -1;
	error = options->without_tcx ? -EOPNOTSUPP : hook_attach_tcx(options, hook);
	if (error < 0) {
		hook_free(hook);
		return error;
	}
	*ret_hook = hook;
	return 0;
}

void hook_free(struct hook *hook)
{
	if (!hook)
		return;
	safe_close(hook->link_fd);
	free(hook);
}

const char *hook_kind(const struct hook *hook)
{
	(void)hook;
	return "tcx";
}

bool hook_is_attached(const struct hook *hook)
{
	struct bpf_link_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(hook->link_fd, &info, &length))
		return false;
	/* The member tcx lies where xdp does: its index is 0 once the interface is gone. */
	return info.xdp.ifindex == hook->ifindex;
}

bool hook_has_program_ahead(const struct hook *hook)
{
	struct bpf_link_info info = {};
	uint32_t ids[MAX_QUERIED], count = MAX_QUERIED, flags = 0, length = sizeof(info);

	if (bpf_obj_get_info_by_fd(hook->link_fd, &info, &length))
		return false;
	if (bpf_prog_query((int)hook->ifindex, hook->attach_type, 0, &flags, ids, &count) && errno != ENOSPC)
		return false;
	return count > 0 && ids[0] != info.prog_id;
}
