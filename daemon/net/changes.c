/* SPDX-License-Identifier: BSD-3-Clause */
/* What link_monitor.c, discover.c and the underlay share. Each opens a socket of its own. */

#include "daemon/net/changes.h"

#include "common/cleanup.h"
#include "daemon/net/rtnl_read.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>

/* Per wake-up; the descriptor stays readable while there is more. */
#define DATAGRAMS_AT_ONCE 4096

/* For some thousand notifications, which come while the thread works on a window. */
#define ROUTES_BUFFER (4 * 1024 * 1024)

int net_changes_open(unsigned int changes, int *ret_fd)
{
	static const struct {
		enum net_changes change;
		int group;
	} groups[] = {
		{NET_CHANGES_LINKS, RTNLGRP_LINK},
		{NET_CHANGES_ADDRESSES, RTNLGRP_IPV4_IFADDR},
		{NET_CHANGES_ADDRESSES, RTNLGRP_IPV6_IFADDR},
		{NET_CHANGES_ROUTES, RTNLGRP_IPV4_ROUTE},
		{NET_CHANGES_ROUTES, RTNLGRP_IPV6_ROUTE},
		{NET_CHANGES_ROUTES, RTNLGRP_NEXTHOP},
		{NET_CHANGES_RULES, RTNLGRP_IPV4_RULE},
		{NET_CHANGES_RULES, RTNLGRP_IPV6_RULE},
	};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	const int size = ROUTES_BUFFER;
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		/* A kernel that lacks a group (EINVAL) has no such changes. */
		if ((changes & groups[i].change) &&
		    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i].group,
			       sizeof(groups[i].group)) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	/* Without the right to exceed the system's limit, up to that. */
	if ((changes & NET_CHANGES_ROUTES) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

ssize_t net_changes_receive(int fd, void *buffer, size_t size)
{
	struct iovec iov = {.iov_base = buffer, .iov_len = size};

	for (;;) {
		struct sockaddr_nl from = {};
		struct msghdr msg = {
			.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Other processes can send to our port too. */
		if (from.nl_pid != 0)
			continue;
		return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
	}
}

static bool is_change(const struct nlmsghdr *message, size_t length,
		      bool (*route_matters)(const struct prefix *destination, void *userdata), void *userdata)
{
	struct rtnl_route route;

	switch (message->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (!route_matters || message->nlmsg_len > length || rtnl_read_route(message, 0, &route) < 0)
			return true;
		return route_matters(&route.destination, userdata);
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return true;
	}
	return false;
}

bool net_changes_read(int fd, bool (*route_matters)(const struct prefix *destination, void *userdata),
		      void *userdata)
{
	uint8_t buffer[8192] __attribute__((aligned(8)));
	bool changed = false;

	for (unsigned int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t n = net_changes_receive(fd, buffer, sizeof(buffer));

		if (n == -ENOBUFS || n == -EMSGSIZE)
			changed = true;
		else if (n < 0)
			break;
		else if (n >= (ssize_t)sizeof(struct nlmsghdr) &&
			 is_change((const struct nlmsghdr *)buffer, (size_t)n, route_matters, userdata))
			changed = true;
	}
	return changed;
}
