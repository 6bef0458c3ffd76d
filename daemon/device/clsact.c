/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our filters have a name: "netlogd:" and a token. The owner holds that name as long as it lives. So another
 * instance can tell, with only the permissions it needs to attach, whether a filter's owner is alive or the
 * filter is a leftover. (Names are held per network namespace, and so are filters: an interface that moves
 * loses them.)
 */

#include "daemon/device/clsact.h"

#include "common/cleanup.h"
#include "daemon/device/held_name.h"
#include "daemon/net/netlink.h"
#include "daemon/net/netlink_attributes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <bpf/bpf.h>

#define TIMEOUT_MS    1000
#define NAME_PREFIX   "netlogd:"
#define TOKEN_LENGTH  16 /* hexadecimal digits */
#define NAME_MAX_SIZE 64
#define MAX_PRIORITY  64  /* a bit each; ours is the first without filters of other kinds */
#define MAX_FILTERS   256 /* with our name: of other instances, or leftovers */

struct clsact {
	struct netlink *netlink;
	unsigned int ifindex;
	uint32_t parent;
	uint32_t handle;
	uint16_t priority; /* 0: no filter yet */
	char name[NAME_MAX_SIZE];
	int owner_fd; /* holds the name */
	int table_fd;
};

/* A filter with a name like ours. */
struct filter {
	uint32_t handle;
	uint16_t priority;
	size_t place; /* how many filters of any kind run before it */
	char name[NAME_MAX_SIZE];
};

struct filters {
	unsigned int ifindex;
	uint32_t parent;
	size_t seen;	/* of all kinds */
	uint64_t taken; /* a bit for each priority, from 1 on, with filters that ours cannot join */
	size_t n;
	struct filter items[MAX_FILTERS]; /* in the order in which they run; more are ignored */
};

static int clsact_no_answer(const struct nlmsghdr *message, void *userdata)
{
	(void)message;
	(void)userdata;
	return 0;
}

static struct nlmsghdr *clsact_request(void *buffer, uint16_t type, uint16_t flags,
				       const struct clsact *clsact, struct tcmsg **ret_tc)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc;

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)clsact->ifindex;
	tc->tcm_parent = clsact->parent;
	*ret_tc = tc;
	return request;
}

static int qdisc_read_kind(const struct nlmsghdr *message, void *userdata)
{
	struct netlink_attributes attributes;
	const struct nlattr *attr;
	bool *is_clsact = userdata;
	char kind[16];
	int r;

	r = netlink_attributes_of(message, sizeof(struct tcmsg), &attributes);
	if (r < 0)
		return r;
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0)
		if (mnl_attr_get_type(attr) == TCA_KIND)
			*is_clsact = netlink_attribute_get_text(attr, kind, sizeof(kind)) == 0 &&
				     strcmp(kind, "clsact") == 0;
	return r;
}

/*
 * Makes the qdisc unless it exists. The older qdisc `ingress` may be in its place: that one has no egress,
 * but accepts a filter for it, and puts it on ingress.
 */
static int clsact_ensure_qdisc(struct clsact *clsact)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request;
	bool is_clsact = false;
	struct tcmsg *tc;
	int r;

	request = clsact_request(buffer, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, clsact, &tc);
	tc->tcm_parent = TC_H_CLSACT;
	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(request, TCA_KIND, "clsact");
	r = netlink_request(clsact->netlink, request, TIMEOUT_MS, clsact_no_answer, NULL, NULL);
	if (r != -EEXIST)
		return r;
	/* Without ECHO the kernel tells all listeners, but not the one who asks. */
	request = clsact_request(buffer, RTM_GETQDISC, NLM_F_ECHO, clsact, &tc);
	tc->tcm_parent = TC_H_CLSACT;
	r = netlink_request(clsact->netlink, request, TIMEOUT_MS, qdisc_read_kind, &is_clsact, NULL);
	if (r < 0)
		return r;
	return is_clsact ? 0 : -EBUSY;
}

static int filter_read_name(const struct nlattr *options, struct filter *filter)
{
	struct netlink_attributes attributes = netlink_attributes_in(options);
	const struct nlattr *attr;
	int more;

	while ((more = netlink_attributes_next(&attributes, &attr)) > 0)
		/* A longer name is not ours. */
		if (mnl_attr_get_type(attr) == TCA_BPF_NAME &&
		    netlink_attribute_get_text(attr, filter->name, sizeof(filter->name)) < 0)
			filter->name[0] = '\0';
	return more;
}

static int filters_add(const struct nlmsghdr *message, void *userdata)
{
	struct filters *filters = userdata;
	struct netlink_attributes attributes;
	const struct nlattr *attr, *options = NULL;
	struct filter filter = {.place = filters->seen};
	bool is_bpf = false;
	struct tcmsg tc;
	char kind[16];
	int r;

	r = netlink_attributes_of(message, sizeof(tc), &attributes);
	if (r < 0)
		return r;
	memcpy(&tc, mnl_nlmsg_get_payload(message), sizeof(tc));
	if ((unsigned int)tc.tcm_ifindex != filters->ifindex || tc.tcm_parent != filters->parent)
		return 0;
	filter.handle = tc.tcm_handle;
	filter.priority = (uint16_t)(tc.tcm_info >> 16);
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			is_bpf = netlink_attribute_get_text(attr, kind, sizeof(kind)) == 0 &&
				 strcmp(kind, "bpf") == 0;
		else if (mnl_attr_get_type(attr) == TCA_OPTIONS)
			options = attr;
	}
	if (r == 0 && is_bpf && options)
		r = filter_read_name(options, &filter);
	if (r < 0)
		return r;
	/* An entry without a handle is the head of a kind's list. */
	filters->seen += filter.handle != 0;
	if ((!is_bpf || (uint16_t)tc.tcm_info != htons(ETH_P_ALL)) && filter.priority >= 1 &&
	    filter.priority <= MAX_PRIORITY)
		filters->taken |= UINT64_C(1) << (filter.priority - 1);
	if (strncmp(filter.name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0 &&
	    strlen(filter.name) == strlen(NAME_PREFIX) + TOKEN_LENGTH && filters->n < MAX_FILTERS)
		filters->items[filters->n++] = filter;
	return 0;
}

/* The filters on the hook's side of the interface. The caller frees them. */
static int clsact_dump(const struct clsact *clsact, struct filters **ret_filters)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	_cleanup_free_ struct filters *filters = calloc(1, sizeof(*filters));
	struct nlmsghdr *request;
	struct tcmsg *tc;
	int r;

	if (!filters)
		return -ENOMEM;
	filters->ifindex = clsact->ifindex;
	filters->parent = clsact->parent;
	request = clsact_request(buffer, RTM_GETTFILTER, NLM_F_DUMP, clsact, &tc);
	r = netlink_request(clsact->netlink, request, TIMEOUT_MS, filters_add, filters, NULL);
	if (r < 0)
		return r;
	*ret_filters = TAKE_PTR(filters);
	return 0;
}

/* Takes a name for the filter that no living owner holds. */
static int clsact_take_name(struct clsact *clsact)
{
	uint64_t token;

	if (getrandom(&token, sizeof(token), 0) != sizeof(token))
		return -EIO;
	snprintf(clsact->name, sizeof(clsact->name), NAME_PREFIX "%0*llx", TOKEN_LENGTH,
		 (unsigned long long)token);
	clsact->handle = (uint32_t)(token & 0x7fffffff) | 1;
	return held_name_take(clsact->name, &clsact->owner_fd);
}

/* Whether a filter with a name like ours has lost its owner. When in doubt: no. */
static bool filter_is_leftover(const struct filter *filter)
{
	return held_name_ask(filter->name) == 0;
}

int clsact_replace(struct clsact *clsact, int program_fd)
{
	const uint32_t zero = 0;

	return bpf_map_update_elem(clsact->table_fd, &zero, &program_fd, BPF_ANY) ? -errno : 0;
}

/* The stub: tail_call(context, table, 0), and with an empty table, let the packet pass. A descriptor, or
 * -errno. */
static int clsact_load_stub(struct clsact *clsact, int program_fd)
{
	struct bpf_insn code[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD},
		{},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd, r;

	clsact->table_fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "netlogd_calls", sizeof(uint32_t),
					  sizeof(uint32_t), 1, NULL);
	if (clsact->table_fd < 0)
		return -errno;
	code[0].imm = clsact->table_fd;
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "netlogd_stub", "Dual BSD/GPL", code, ARRAY_SIZE(code),
			   NULL);
	if (fd < 0)
		return -errno;
	r = clsact_replace(clsact, program_fd);
	if (r < 0) {
		safe_close(fd);
		return r;
	}
	return fd;
}

static int clsact_delete(const struct clsact *clsact, uint32_t handle, uint16_t priority)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request;
	struct tcmsg *tc;

	request = clsact_request(buffer, RTM_DELTFILTER, NLM_F_ACK, clsact, &tc);
	tc->tcm_handle = handle;
	tc->tcm_info = TC_H_MAKE((uint32_t)priority << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(request, TCA_KIND, "bpf");
	return netlink_request(clsact->netlink, request, TIMEOUT_MS, clsact_no_answer, NULL, NULL);
}

/* Adds the filter, and removes leftovers. */
static int clsact_add_filter(struct clsact *clsact, int stub_fd)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	_cleanup_free_ struct filters *filters = NULL;
	struct nlmsghdr *request;
	struct nlattr *options;
	uint16_t priority = 1;
	struct tcmsg *tc;
	int r;

	r = clsact_dump(clsact, &filters);
	if (r < 0)
		return r;
	while (priority <= MAX_PRIORITY && filters->taken & UINT64_C(1) << (priority - 1))
		priority++;
	if (priority > MAX_PRIORITY)
		return -EBUSY;
	request = clsact_request(buffer, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, clsact, &tc);
	tc->tcm_handle = clsact->handle;
	tc->tcm_info = TC_H_MAKE((uint32_t)priority << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(request, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(request, TCA_OPTIONS);
	mnl_attr_put_u32(request, TCA_BPF_FD, (uint32_t)stub_fd);
	mnl_attr_put_strz(request, TCA_BPF_NAME, clsact->name);
	mnl_attr_put_u32(request, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(request, options);
	r = netlink_request(clsact->netlink, request, TIMEOUT_MS, clsact_no_answer, NULL, NULL);
	if (r < 0)
		return r;
	clsact->priority = priority;
	/* Only now, so that there is always a filter; a leftover that stays does no harm. */
	for (size_t i = 0; i < filters->n; i++)
		if (filter_is_leftover(&filters->items[i]))
			clsact_delete(clsact, filters->items[i].handle, filters->items[i].priority);
	return 0;
}

int clsact_attach(unsigned int ifindex, bool ingress, int program_fd, struct clsact **ret_clsact)
{
	_cleanup_(clsact_freep) struct clsact *clsact = calloc(1, sizeof(*clsact));
	_cleanup_close_ int stub_fd = -1;
	int r;

	if (!clsact)
		return -ENOMEM;
	clsact->owner_fd = -1;
	clsact->table_fd = -1;
	clsact->ifindex = ifindex;
	clsact->parent = TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	r = netlink_new(NETLINK_ROUTE, &clsact->netlink);
	if (r == 0)
		r = clsact_take_name(clsact);
	if (r == 0)
		r = clsact_ensure_qdisc(clsact);
	if (r < 0)
		return r;
	stub_fd = clsact_load_stub(clsact, program_fd);
	if (stub_fd < 0)
		return stub_fd;
	r = clsact_add_filter(clsact, stub_fd);
	if (r < 0)
		return r;
	*ret_clsact = TAKE_PTR(clsact);
	return 0;
}

/* How many filters run before ours, without those of daemons that live; or -ENOENT. */
static int clsact_find(const struct clsact *clsact)
{
	_cleanup_free_ struct filters *filters = NULL;
	size_t daemons = 0;
	int r = clsact_dump(clsact, &filters);

	if (r < 0)
		return r;
	for (size_t i = 0; i < filters->n; i++) {
		if (strcmp(filters->items[i].name, clsact->name) == 0)
			return (int)MIN(filters->items[i].place - daemons, (size_t)INT_MAX);
		daemons += held_name_ask(filters->items[i].name) == 1;
	}
	return -ENOENT;
}

void clsact_free(struct clsact *clsact)
{
	if (!clsact)
		return;
	/* Only with its name: if the interface was made again, the handle may be another filter's. */
	if (clsact->priority > 0 && clsact_find(clsact) >= 0)
		clsact_delete(clsact, clsact->handle, clsact->priority);
	netlink_free(clsact->netlink);
	safe_close(clsact->owner_fd);
	safe_close(clsact->table_fd);
	free(clsact);
}

int clsact_check(const struct clsact *clsact)
{
	int r = clsact_find(clsact);

	return r == -ENOENT ? -ENODEV : MIN(r, 0);
}

bool clsact_has_filter_ahead(const struct clsact *clsact)
{
	return clsact_find(clsact) > 0;
}
