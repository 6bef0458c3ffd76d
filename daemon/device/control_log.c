/* SPDX-License-Identifier: BSD-3-Clause */
/* Sorting by time what little of the traffic begins and ends connections. */

#include "daemon/device/control_log.h"

#include "common/cleanup.h"
#include "daemon/device/control_details.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALLOCATED_MIN 64

/* Of one time: a SYN comes before its answers, whichever socket was read first. */
static int event_compare(const void *a, const void *b)
{
	const struct control_event *left = a, *right = b;

	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	return (left->flags & (CONTROL_ACK | CONTROL_RST)) - (right->flags & (CONTROL_ACK | CONTROL_RST));
}

/* The first n of them, once they are sorted. */
static void apply(struct control_log *log, size_t n, struct flows *flows)
{
	for (size_t i = 0; i < n; i++) {
		const struct control_event *event = &log->events[i];

		assert(event->flow < flows->n);
		control_details_step(&flows->items[event->flow].details, event->received, event->flags,
				     event->seq);
	}
	log->n -= n;
	memmove(log->events, log->events + n, log->n * sizeof(*log->events));
}

static void sort(struct control_log *log)
{
	qsort(log->events, log->n, sizeof(*log->events), event_compare);
}

int control_log_add(struct control_log *log, const struct control_event *event, struct flows *flows)
{
	if (log->n == CONTROL_LOG_MAX) {
		sort(log);
		apply(log, CONTROL_LOG_MAX / 2, flows);
	}
	if (log->n == log->allocated) {
		size_t allocated = MAX(2 * log->allocated, (size_t)ALLOCATED_MIN);
		struct control_event *events = reallocarray(log->events, allocated, sizeof(*log->events));

		if (!events)
			return -ENOMEM;
		log->events = events;
		log->allocated = allocated;
	}
	log->events[log->n++] = *event;
	return 0;
}

void control_log_apply(struct control_log *log, struct flows *flows)
{
	if (log->n > 0) {
		sort(log);
		apply(log, log->n, flows);
	}
	control_log_deinit(log);
}

void control_log_deinit(struct control_log *log)
{
	free(log->events);
	*log = (struct control_log){};
}
