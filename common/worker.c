/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two lists under one mutex: jobs that wait for the thread, and jobs that wait for the loop. An eventfd for
 * each side says that its list has grown. The thread sleeps in poll(), not on a condition variable, so that
 * it can wait for a device's descriptor as well.
 */

#include "common/worker.h"

#include "common/cleanup.h"
#include "common/thread.h"
#include "common/time_text.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

struct job {
	worker_fn run;
	worker_fn done;
	void *data;
	STAILQ_ENTRY(job) link;
};

STAILQ_HEAD(job_list, job);

struct watch {
	int fd;
	worker_fn readable;
	void *data;
	int64_t pause, quiet_until; /* boot time, ns */
};

struct worker {
	pthread_t thread;
	int wake_fd; /* the thread waits for it */
	int done_fd; /* the loop waits for it */

	pthread_mutex_t mutex; /* of the next five */
	struct job_list waiting;
	struct job_list finished;
	bool ending;	   /* the thread returns once nothing waits */
	worker_fn release; /* not NULL: abandoned, so that the thread releases everything */
	void *release_data;

	/* The loop's. */
	bool started;
	struct event *done_event;
	size_t pending;

	/* The thread's. */
	struct watch watches[WORKER_WATCH_MAX];
	size_t n_watches;
};

/* EAGAIN: one is there already. After any other error it tries again: the other side would wait forever. */
static void signal_fd(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		if (errno != EINTR)
			poll(NULL, 0, 10);
}

static void clear_fd(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

static void free_jobs(struct job_list *list)
{
	struct job *job;

	while ((job = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		free(job);
	}
}

/* All but the event, which is the loop's. */
static void destroy(struct worker *worker)
{
	free_jobs(&worker->waiting);
	free_jobs(&worker->finished);
	safe_close(worker->wake_fd);
	safe_close(worker->done_fd);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
}

/* What comes in the pause after a call waits for its end. */
static void begin_pause(struct worker *worker, int fd)
{
	for (size_t i = 0; i < worker->n_watches; i++) {
		struct watch *watch = &worker->watches[i];

		if (watch->fd == fd && watch->pause > 0)
			watch->quiet_until = time_now_boot() + watch->pause;
	}
}

static void wait_for_work(struct worker *worker)
{
	struct pollfd fds[1 + WORKER_WATCH_MAX] = {{.fd = worker->wake_fd, .events = POLLIN}};
	struct watch watches[WORKER_WATCH_MAX]; /* as they were: readable() may change them */
	int64_t now = time_now_boot(), first = INT64_MAX;
	size_t n = worker->n_watches;

	for (size_t i = 0; i < n; i++) {
		bool quiet = worker->watches[i].quiet_until > now;

		watches[i] = worker->watches[i];
		/* poll() passes over a negative one. */
		fds[1 + i] = (struct pollfd){.fd = quiet ? -1 : watches[i].fd, .events = POLLIN};
		if (quiet)
			first = MIN(first, watches[i].quiet_until - now);
	}
	if (poll(fds, 1 + n, first == INT64_MAX ? -1 : (int)(first / NSEC_PER_MSEC) + 1) < 0)
		return;
	if (fds[0].revents)
		clear_fd(worker->wake_fd);
	for (size_t i = 0; i < n; i++)
		if (fds[1 + i].revents) {
			watches[i].readable(watches[i].data);
			begin_pause(worker, watches[i].fd);
		}
}

static void *worker_main(void *userdata)
{
	struct worker *worker = userdata;

	for (;;) {
		struct job *job = NULL;
		worker_fn release;
		bool ending;

		pthread_mutex_lock(&worker->mutex);
		release = worker->release;
		ending = worker->ending;
		if (!release)
			job = STAILQ_FIRST(&worker->waiting);
		if (job)
			STAILQ_REMOVE_HEAD(&worker->waiting, link);
		pthread_mutex_unlock(&worker->mutex);

		if (job) {
			job->run(job->data);
			pthread_mutex_lock(&worker->mutex);
			STAILQ_INSERT_TAIL(&worker->finished, job, link);
			pthread_mutex_unlock(&worker->mutex);
			signal_fd(worker->done_fd);
		} else if (release) {
			release(worker->release_data);
			destroy(worker);
			return NULL;
		} else if (ending) {
			return NULL;
		} else {
			wait_for_work(worker);
		}
	}
}

/* A second half may abandon the worker when it is the last one pending: nothing of it is used after that. */
static void finish_jobs(struct worker *worker)
{
	struct job_list finished;
	struct job *job;

	STAILQ_INIT(&finished);
	pthread_mutex_lock(&worker->mutex);
	STAILQ_CONCAT(&finished, &worker->finished);
	pthread_mutex_unlock(&worker->mutex);

	while ((job = STAILQ_FIRST(&finished))) {
		STAILQ_REMOVE_HEAD(&finished, link);
		worker->pending--;
		if (job->done)
			job->done(job->data);
		free(job);
	}
}

static void on_done(evutil_socket_t fd, short what, void *userdata)
{
	(void)what;
	clear_fd(fd);
	finish_jobs(userdata);
}

DEFINE_CLEANUP(struct worker *, worker_free);

int worker_new(struct event_base *base, const char *name, size_t stack, struct worker **ret_worker)
{
	_cleanup_(worker_freep) struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	STAILQ_INIT(&worker->waiting);
	STAILQ_INIT(&worker->finished);
	pthread_mutex_init(&worker->mutex, NULL);
	worker->done_fd = -1;
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake_fd < 0)
		return -errno;
	worker->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->done_fd < 0)
		return -errno;
	worker->done_event = event_new(base, worker->done_fd, EV_READ | EV_PERSIST, on_done, worker);
	/* What the thread has done comes before everything from outside. */
	if (!worker->done_event || event_priority_set(worker->done_event, 0) < 0 ||
	    event_add(worker->done_event, NULL) < 0)
		return -ENOMEM;
	r = thread_start(&worker->thread, name, stack, worker_main, worker);
	if (r < 0)
		return r;
	worker->started = true;
	*ret_worker = TAKE_PTR(worker);
	return 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->started) {
		pthread_mutex_lock(&worker->mutex);
		worker->ending = true;
		pthread_mutex_unlock(&worker->mutex);
		signal_fd(worker->wake_fd);
		pthread_join(worker->thread, NULL);
		finish_jobs(worker);
	}
	if (worker->done_event)
		event_free(worker->done_event);
	destroy(worker);
}

void worker_abandon(struct worker *worker, worker_fn release, void *data)
{
	if (!worker) {
		release(data);
		return;
	}
	event_free(worker->done_event);
	pthread_detach(worker->thread);
	/* Signalled under the mutex: without it the worker may be gone already. */
	pthread_mutex_lock(&worker->mutex);
	worker->release_data = data;
	worker->release = release;
	signal_fd(worker->wake_fd);
	pthread_mutex_unlock(&worker->mutex);
}

int worker_post(struct worker *worker, worker_fn run, worker_fn done, void *data)
{
	struct job *job;

	if (worker->pending >= WORKER_QUEUE_MAX)
		return -EAGAIN;
	job = malloc(sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (struct job){.run = run, .done = done, .data = data};
	pthread_mutex_lock(&worker->mutex);
	STAILQ_INSERT_TAIL(&worker->waiting, job, link);
	pthread_mutex_unlock(&worker->mutex);
	worker->pending++;
	signal_fd(worker->wake_fd);
	return 0;
}

size_t worker_pending(const struct worker *worker)
{
	return worker->pending;
}

void worker_drain(struct worker *worker)
{
	(void)worker_drain_within(worker, INT_MAX);
}

int worker_drain_within(struct worker *worker, int timeout_ms)
{
	struct pollfd fd = {.fd = worker->done_fd, .events = POLLIN};
	int64_t until = thread_now() + timeout_ms * NSEC_PER_MSEC;

	while (worker->pending > 0) {
		int64_t left = until - thread_now();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&fd, 1, (int)(left / NSEC_PER_MSEC) + 1) > 0)
			clear_fd(worker->done_fd);
		finish_jobs(worker);
	}
	return 0;
}

int worker_watch(struct worker *worker, int fd, int64_t pause, worker_fn readable, void *data)
{
	if (worker->n_watches == WORKER_WATCH_MAX)
		return -ENOSPC;
	worker->watches[worker->n_watches++] =
		(struct watch){.fd = fd, .readable = readable, .data = data, .pause = pause};
	return 0;
}

void worker_unwatch(struct worker *worker, int fd)
{
	for (size_t i = 0; i < worker->n_watches; i++)
		if (worker->watches[i].fd == fd) {
			worker->watches[i] = worker->watches[--worker->n_watches];
			return;
		}
}
