/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sinks that have their answer are held: they begin no other batch until all have theirs. A server that does
 * not answer must not stop the others for long, though. After a while those that wait for it go on; the ones
 * that are late stay held, so that each is waited for once.
 */

#include "daemon/upload/restart.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/upload/sink/sink.h"
#include "daemon/upload/sinks.h"

#include <errno.h>
#include <event2/event.h>

/* How long each process lives at least: the daemon starts it whenever it asks. */
#define LIFE_MIN (3 * NSEC_PER_SEC)
/*
 * A service manager gives up for good after too many starts. With the two seconds that the unit waits these
 * are 45 in its 15 minutes, in which it allows 60 (StartLimitBurst= in packaging/systemd), and below the five
 * in ten seconds that systemd allows others (DefaultStartLimitBurst= in systemd-system.conf(5)).
 */
#define LIFE_MIN_OF_SERVICE (18 * NSEC_PER_SEC)
/* How long answered sinks wait for others. */
#define HOLD_MAX (10 * NSEC_PER_SEC)

struct restart {
	struct event_base *base;
	struct sinks *sinks;
	struct event *timer;
	int64_t earliest; /* boot time */
	bool wanted;
	bool due;
	int64_t hold_until; /* boot time; 0: not all are held */
};

static void check_at(struct restart *restart, int64_t boot)
{
	int64_t delay = MAX(boot - time_now_boot(), INT64_C(0));
	struct timeval timeout = {.tv_sec = delay / NSEC_PER_SEC,
				  .tv_usec = delay % NSEC_PER_SEC / NSEC_PER_USEC};

	evtimer_add(restart->timer, &timeout);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct restart *restart = userdata;
	int64_t now = time_now_boot();
	size_t n = sinks_count(restart->sinks), sending = 0, late = 0;

	(void)fd;
	(void)what;
	if (now < restart->earliest) {
		check_at(restart, restart->earliest);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct sink *sink = sinks_get(restart->sinks, i);

		sending += sink_is_sending(sink);
		late += sink_is_sending(sink) && sink_is_held(sink);
	}
	if (sending == 0) {
		restart->due = true;
		event_base_loopbreak(restart->base);
		return;
	}
	if (restart->hold_until == 0 && late > 0)
		return;
	if (restart->hold_until == 0)
		restart->hold_until = now + HOLD_MAX;
	if (now < restart->hold_until) {
		for (size_t i = 0; i < n; i++)
			sink_hold(sinks_get(restart->sinks, i), true);
		check_at(restart, restart->hold_until);
		return;
	}
	restart->hold_until = 0;
	for (size_t i = 0; i < n; i++) {
		struct sink *sink = sinks_get(restart->sinks, i);

		if (!sink_is_sending(sink))
			sink_hold(sink, false);
	}
}

int restart_new(struct event_base *base, struct sinks *sinks, bool is_child, struct restart **ret_restart)
{
	struct restart *restart = calloc(1, sizeof(*restart));

	if (!restart)
		return -ENOMEM;
	restart->base = base;
	restart->sinks = sinks;
	restart->earliest = time_now_boot() + (is_child ? LIFE_MIN : LIFE_MIN_OF_SERVICE);
	restart->timer = evtimer_new(base, on_timer, restart);
	if (!restart->timer) {
		free(restart);
		return -ENOMEM;
	}
	*ret_restart = restart;
	return 0;
}

void restart_free(struct restart *restart)
{
	if (!restart)
		return;
	event_free(restart->timer);
	free(restart);
}

void restart_want(struct restart *restart, const char *reason)
{
	if (restart->wanted)
		return;
	restart->wanted = true;
	log_info("restarting: %s", reason);
	check_at(restart, 0);
}

void restart_check(struct restart *restart)
{
	/* From the loop, not from within what has changed. */
	if (restart->wanted && !restart->due)
		check_at(restart, 0);
}

bool restart_is_due(const struct restart *restart)
{
	return restart->due;
}
