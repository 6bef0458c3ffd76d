/* SPDX-License-Identifier: BSD-3-Clause */
/* What link_monitor.c and the underlay share. Each opens a socket of its own. */

#include "daemon/net/changes.h"

#include "common/cleanup.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>

/* Per wake-up; the descriptor stays readable while there is more. */
#define DATAGRAMS_AT_ONCE 64

int net_changes_open(int *ret_fd)
{
	static const int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP,
	};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		/* A kernel that lacks a group (EINVAL) has no such changes. */
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_change(const struct nlmsghdr *message)
{
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return true;
	}
	return false;
}

bool net_changes_read(int fd)
{
	uint8_t buffer[256] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = buffer, .iov_len = sizeof(buffer)};
	bool changed = false;

	for (unsigned int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct sockaddr_nl from = {};
		struct msghdr msg = {
			.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS)
			changed = true;
		else if (n < 0 && errno != EINTR)
			break;
		/* A truncated datagram is enough: its header has the type. */
		else if (from.nl_pid == 0 && n >= (ssize_t)sizeof(struct nlmsghdr) &&
			 is_change((const struct nlmsghdr *)buffer))
			changed = true;
	}
	return changed;
}
