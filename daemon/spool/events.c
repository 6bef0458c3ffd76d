/* SPDX-License-Identifier: BSD-3-Clause */
/* The newest of each is enough: sequences only grow, and losses add up until they are reported. */

#include "daemon/spool/events.h"

#include "common/cleanup.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>

struct spool_events {
	const struct spool_events_ops *ops;
	void *userdata;
	int fd;
	struct event *event;
	pthread_mutex_t mutex;
	uint64_t stored;	/* under the mutex */
	struct spool_loss loss; /* under the mutex */
	bool changed;		/* under the mutex */
};

static void signal_loop(struct spool_events *events)
{
	uint64_t one = 1;

	while (write(events->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void on_stored(uint64_t sequence, void *userdata)
{
	struct spool_events *events = userdata;

	pthread_mutex_lock(&events->mutex);
	events->stored = MAX(events->stored, sequence);
	pthread_mutex_unlock(&events->mutex);
	signal_loop(events);
}

static void on_lost(const struct spool_loss *loss, void *userdata)
{
	struct spool_events *events = userdata;

	pthread_mutex_lock(&events->mutex);
	spool_loss_add(&events->loss, loss);
	pthread_mutex_unlock(&events->mutex);
	signal_loop(events);
}

static void on_changed(void *userdata)
{
	struct spool_events *events = userdata;

	pthread_mutex_lock(&events->mutex);
	events->changed = true;
	pthread_mutex_unlock(&events->mutex);
	signal_loop(events);
}

const struct spool_writer_ops spool_events_writer_ops = {
	.stored = on_stored, .lost = on_lost, .changed = on_changed};

static void on_event(evutil_socket_t fd, short what, void *userdata)
{
	struct spool_events *events = userdata;
	struct spool_loss loss;
	uint64_t count, stored;
	bool changed;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&events->mutex);
	stored = events->stored;
	changed = events->changed;
	events->changed = false;
	pthread_mutex_unlock(&events->mutex);
	spool_events_take_loss(events, &loss);
	events->ops->stored(stored, events->userdata);
	if (loss.messages > 0)
		events->ops->lost(&loss, events->userdata);
	if (changed && events->ops->changed)
		events->ops->changed(events->userdata);
}

DEFINE_CLEANUP(struct spool_events *, spool_events_free);

int spool_events_new(struct event_base *base, const struct spool_events_ops *ops, void *userdata,
		     struct spool_events **ret_events)
{
	_cleanup_(spool_events_freep) struct spool_events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->ops = ops;
	events->userdata = userdata;
	pthread_mutex_init(&events->mutex, NULL);
	events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->fd < 0)
		return -errno;
	events->event = event_new(base, events->fd, EV_READ | EV_PERSIST, on_event, events);
	if (!events->event || event_add(events->event, NULL) < 0)
		return -ENOMEM;
	*ret_events = TAKE_PTR(events);
	return 0;
}

void spool_events_take_loss(struct spool_events *events, struct spool_loss *ret_loss)
{
	pthread_mutex_lock(&events->mutex);
	*ret_loss = events->loss;
	events->loss = (struct spool_loss){};
	pthread_mutex_unlock(&events->mutex);
}

void spool_events_free(struct spool_events *events)
{
	if (!events)
		return;
	if (events->event)
		event_free(events->event);
	safe_close(events->fd);
	pthread_mutex_destroy(&events->mutex);
	free(events);
}
