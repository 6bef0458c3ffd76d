/*
 * The listener reads what comes only to empty the socket: whoever is called back looks at how things are now,
 * which is right whatever was missed (ENOBUFS), and one look is enough for a burst of changes.
 */

#include "daemon/link_monitor.h"

#include "common/cleanup.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bounded work per wake-up; libevent calls again at once while there is more. */
#define DATAGRAMS_PER_WAKEUP 64

struct link_monitor {
	int fd;
	struct event *event;
	void (*changed)(void *userdata);
	void *userdata;
};

/* Whether a message is about anything: a route cache entry or a neighbour is not. */
static bool is_change(const struct nlmsghdr *message)
{
	return message->nlmsg_type >= RTM_BASE && message->nlmsg_type <= RTM_DELROUTE;
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

static void on_readable(int fd, short what, void *userdata)
{
	struct link_monitor *monitor = userdata;
	bool changed = false;

	(void)what;
	for (unsigned int i = 0; i < DATAGRAMS_PER_WAKEUP; ++i) {
		int r = read_datagram(fd);

		if (r > 0)
			changed = true;
		else if (r < 0 && r != -EINTR)
			break;
	}
	if (changed)
		monitor->changed(monitor->userdata);
}

void link_monitor_free(struct link_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->event)
		event_free(monitor->event);
	safe_close(monitor->fd);
	free(monitor);
}
DEFINE_CLEANUP(struct link_monitor *, link_monitor_free);

int link_monitor_new(struct event_base *base, void (*changed)(void *userdata), void *userdata,
		     struct link_monitor **ret_monitor)
{
	_cleanup_(link_monitor_freep) struct link_monitor *monitor = calloc(1, sizeof(*monitor));
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
						   RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};

	if (!monitor)
		return -ENOMEM;
	monitor->changed = changed;
	monitor->userdata = userdata;
	monitor->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (monitor->fd < 0 || bind(monitor->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	monitor->event = event_new(base, monitor->fd, EV_READ | EV_PERSIST, on_readable, monitor);
	if (!monitor->event || event_add(monitor->event, NULL) < 0)
		return -ENOMEM;
	*ret_monitor = TAKE_PTR(monitor);
	return 0;
}
