/* SPDX-License-Identifier: BSD-3-Clause */
/* The multicast listener that link_monitor.c and the underlay share. */

#include "daemon/net/changes.h"

#include "common/cleanup.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bounded work per wake-up; the descriptor stays readable while there is more. */
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
		/* A kernel without one of the kinds has no changes of it. */
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

/* 1 when something changed, 0 when not, -EAGAIN when nothing more is there. */
static int read_datagram(int fd)
{
	uint8_t buffer[256] __attribute__((aligned(8)));
	struct sockaddr_nl from = {};
	struct iovec iov = {.iov_base = buffer, .iov_len = sizeof(buffer)};
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return errno == ENOBUFS ? 1 : -errno;
	/* Cut short is enough: the header says what it is about. */
	return from.nl_pid == 0 && n >= (ssize_t)sizeof(struct nlmsghdr) &&
	       is_change((const struct nlmsghdr *)buffer);
}

bool net_changes_read(int fd)
{
	bool changed = false;

	for (unsigned int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		int r = read_datagram(fd);

		if (r > 0)
			changed = true;
		else if (r < 0 && r != -EINTR)
			break;
	}
	return changed;
}
