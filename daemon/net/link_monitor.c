/* SPDX-License-Identifier: BSD-3-Clause */
/* changes.h on a libevent loop. Routes are left out: who uses them follows them. */

#include "daemon/net/link_monitor.h"

#include "common/cleanup.h"
#include "daemon/net/changes.h"

#include <errno.h>
#include <event2/event.h>

struct link_monitor {
	int fd;
	struct event *event;
	void (*changed)(void *userdata);
	void *userdata;
};

static void on_readable(int fd, short what, void *userdata)
{
	struct link_monitor *monitor = userdata;

	(void)what;
	if (net_changes_read(fd, NULL, NULL))
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
	int r;

	if (!monitor)
		return -ENOMEM;
	monitor->changed = changed;
	monitor->userdata = userdata;
	monitor->fd = -1;
	r = net_changes_open(NET_CHANGES_LINKS, &monitor->fd);
	if (r < 0)
		return r;
	monitor->event = event_new(base, monitor->fd, EV_READ | EV_PERSIST, on_readable, monitor);
	if (!monitor->event || event_add(monitor->event, NULL) < 0)
		return -ENOMEM;
	*ret_monitor = TAKE_PTR(monitor);
	return 0;
}
