/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window timer runs on the boot-time clock, so that neither a step of the wall clock nor a suspend moves
 * it. Windows longer than the heartbeat's interval need a timer of their own for it.
 */

#include "daemon/schedule.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/metrics.h"
#include "daemon/state.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/timerfd.h>

#define HEARTBEAT_CHECK_MIN (100 * NSEC_PER_MSEC)

static void on_window_ended(const struct logger_thread_result *result, void *userdata)
{
	(void)result;
	metrics_publish(userdata);
	daemon_notify_status(userdata);
}

static void on_window_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct daemon *daemon = userdata;
	uint64_t expirations;

	(void)what;
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	if (logger_thread_window_pending(daemon->logger))
		return; /* the window under way becomes longer instead */
	if (logger_thread_end_window(daemon->logger, on_window_ended, daemon) < 0)
		log_warning("out of memory: this window will be longer");
}

static void on_heartbeat_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)fd;
	(void)what;
	logger_thread_check_devices(daemon->logger);
}

int schedule_set_period(struct daemon *daemon)
{
	int64_t period = daemon->config->period, heartbeat = daemon->config->heartbeat;
	int64_t check = MAX(heartbeat / 10, HEARTBEAT_CHECK_MIN);
	struct timeval interval = {check / NSEC_PER_SEC, check % NSEC_PER_SEC / NSEC_PER_USEC};
	struct timespec length = {.tv_sec = period / NSEC_PER_SEC, .tv_nsec = period % NSEC_PER_SEC};
	struct itimerspec timer = {.it_value = length, .it_interval = length};

	event_del(daemon->heartbeat_timer);
	if (heartbeat > 0 && heartbeat < period && event_add(daemon->heartbeat_timer, &interval) < 0)
		log_warning("out of memory: heartbeats come only at the end of a window");
	return timerfd_settime(daemon->window_timer_fd, 0, &timer, NULL) < 0 ? -errno : 0;
}

int schedule_new(struct daemon *daemon)
{
	daemon->window_timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (daemon->window_timer_fd < 0)
		return -errno;
	daemon->window_timer = event_new(daemon->base, daemon->window_timer_fd, EV_READ | EV_PERSIST,
					 on_window_timer, daemon);
	if (!daemon->window_timer || event_priority_set(daemon->window_timer, PRIORITY_WINDOW) < 0 ||
	    event_add(daemon->window_timer, NULL) < 0)
		return -ENOMEM;
	daemon->heartbeat_timer = event_new(daemon->base, -1, EV_PERSIST, on_heartbeat_timer, daemon);
	if (!daemon->heartbeat_timer)
		return -ENOMEM;
	return schedule_set_period(daemon);
}

void schedule_stop(struct daemon *daemon)
{
	event_del(daemon->window_timer);
	event_del(daemon->heartbeat_timer);
}

void schedule_free(struct daemon *daemon)
{
	if (daemon->window_timer)
		event_free(daemon->window_timer);
	if (daemon->heartbeat_timer)
		event_free(daemon->heartbeat_timer);
	safe_close(daemon->window_timer_fd);
}
