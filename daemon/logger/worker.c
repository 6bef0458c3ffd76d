/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker thread. Two lists under one mutex: jobs that wait for the thread, and jobs that wait for the
 * loop; an eventfd for each side says that there is something on its list. The thread sleeps in poll(), not
 * on a condition variable, so that it can wait for a device's descriptor as well.
 */

#include "daemon/logger/worker.h"

#include "common/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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
};

struct worker {
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex;
	struct job_list waiting;  /* under the mutex */
	struct job_list finished; /* under the mutex */
	bool end;		  /* under the mutex */
	int wake_fd;		  /* the thread waits for it */
	int done_fd;		  /* the loop waits for it */
	struct event *done_event;
	size_t pending;				/* the loop's */
	struct watch watches[WORKER_WATCH_MAX]; /* the thread's */
	size_t n_watches;
};

static void signal_fd(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	assert(n == sizeof(one) || errno == EAGAIN);
}

static void clear_fd(int fd)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
}

static struct job *take_job(struct worker *worker, bool *ret_end)
{
	struct job *job;

	pthread_mutex_lock(&worker->mutex);
	job = STAILQ_FIRST(&worker->waiting);
	if (job)
		STAILQ_REMOVE_HEAD(&worker->waiting, link);
	*ret_end = worker->end;
	pthread_mutex_unlock(&worker->mutex);
	return job;
}

static void run_jobs(struct worker *worker, bool *ret_end)
{
	struct job *job;

	while ((job = take_job(worker, ret_end))) {
		job->run(job->data);
		pthread_mutex_lock(&worker->mutex);
		STAILQ_INSERT_TAIL(&worker->finished, job, link);
		pthread_mutex_unlock(&worker->mutex);
		signal_fd(worker->done_fd);
	}
}

static void *worker_main(void *userdata)
{
	struct worker *worker = userdata;
	struct pollfd fds[1 + WORKER_WATCH_MAX];
	bool end = false;

	for (;;) {
		run_jobs(worker, &end);
		if (end)
			return NULL;

		size_t n = worker->n_watches;
		struct watch watches[WORKER_WATCH_MAX];

		fds[0] = (struct pollfd){.fd = worker->wake_fd, .events = POLLIN};
		for (size_t i = 0; i < n; i++) {
			watches[i] = worker->watches[i];
			fds[1 + i] = (struct pollfd){.fd = watches[i].fd, .events = POLLIN};
		}
		if (poll(fds, 1 + n, -1) < 0)
			continue;
		if (fds[0].revents)
			clear_fd(worker->wake_fd);
		for (size_t i = 0; i < n; i++)
			if (fds[1 + i].revents)
				watches[i].readable(watches[i].data);
	}
}

static void finish_jobs(struct worker *worker)
{
	struct job_list finished;

	STAILQ_INIT(&finished);
	pthread_mutex_lock(&worker->mutex);
	STAILQ_CONCAT(&finished, &worker->finished);
	pthread_mutex_unlock(&worker->mutex);

	while (!STAILQ_EMPTY(&finished)) {
		struct job *job = STAILQ_FIRST(&finished);

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

/* The thread takes no signals: they are the loop's. */
static int start_thread(struct worker *worker, const char *name)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return -r;
	worker->started = true;
	pthread_setname_np(worker->thread, name);
	return 0;
}

DEFINE_CLEANUP(struct worker *, worker_free);

int worker_new(struct event_base *base, const char *name, struct worker **ret_worker)
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
	/* What the thread has done goes before all that comes from outside. */
	if (!worker->done_event || event_priority_set(worker->done_event, 0) < 0 ||
	    event_add(worker->done_event, NULL) < 0)
		return -ENOMEM;
	r = start_thread(worker, name);
	if (r < 0)
		return r;
	*ret_worker = TAKE_PTR(worker);
	return 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->started) {
		pthread_mutex_lock(&worker->mutex);
		worker->end = true;
		pthread_mutex_unlock(&worker->mutex);
		signal_fd(worker->wake_fd);
		pthread_join(worker->thread, NULL);
		finish_jobs(worker);
	}
	if (worker->done_event)
		event_free(worker->done_event);
	safe_close(worker->wake_fd);
	safe_close(worker->done_fd);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
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
	struct pollfd fd = {.fd = worker->done_fd, .events = POLLIN};

	while (worker->pending > 0) {
		if (poll(&fd, 1, -1) > 0)
			clear_fd(worker->done_fd);
		finish_jobs(worker);
	}
}

int worker_watch(struct worker *worker, int fd, worker_fn readable, void *data)
{
	if (worker->n_watches == WORKER_WATCH_MAX)
		return -ENOSPC;
	worker->watches[worker->n_watches++] = (struct watch){.fd = fd, .readable = readable, .data = data};
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
