/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread for what may block. It outlives its owner when a disk does not answer: then the last of the two to
 * let go releases what they share.
 */

#include "daemon/upload/job.h"

#include "common/cleanup.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>

struct job {
	const struct job_ops *ops;
	void *state;
	void *userdata;
	struct event *event;
	int event_fd;

	pthread_mutex_t lock; /* the rest */
	pthread_cond_t changed;
	bool has_thread;
	bool wanted;
	bool ended; /* the owner has let go */
	int result;
	unsigned int n_refs;
};

static void job_unref(struct job *job)
{
	bool last;

	pthread_mutex_lock(&job->lock);
	last = --job->n_refs == 0;
	pthread_mutex_unlock(&job->lock);
	if (!last)
		return;
	job->ops->release(job->state);
	safe_close(job->event_fd);
	pthread_cond_destroy(&job->changed);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

static void *run(void *userdata)
{
	struct job *job = userdata;
	uint64_t one = 1;

	pthread_mutex_lock(&job->lock);
	for (;;) {
		int result;

		while (!job->wanted && !job->ended)
			pthread_cond_wait(&job->changed, &job->lock);
		if (job->ended)
			break;
		job->wanted = false;
		pthread_mutex_unlock(&job->lock);
		result = job->ops->work(job->state);
		pthread_mutex_lock(&job->lock);
		job->result = result;
		/* The loop waits for this: a result that it is not told of would be waited for without end.
		 */
		while (!job->ended && write(job->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
			pthread_mutex_unlock(&job->lock);
			poll(NULL, 0, 10);
			pthread_mutex_lock(&job->lock);
		}
	}
	pthread_mutex_unlock(&job->lock);
	job_unref(job);
	return NULL;
}

static void on_event(evutil_socket_t fd, short what, void *userdata)
{
	struct job *job = userdata;
	uint64_t n;
	int result;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&job->lock);
	result = job->result;
	pthread_mutex_unlock(&job->lock);
	job->ops->done(result, job->userdata);
}

int job_new(struct event_base *base, const struct job_ops *ops, void *state, void *userdata,
	    struct job **ret_job)
{
	struct job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){.ops = ops, .state = state, .userdata = userdata, .n_refs = 1};
	job->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->event_fd < 0) {
		r = -errno;
		free(job);
		return r;
	}
	job->event = event_new(base, job->event_fd, EV_READ | EV_PERSIST, on_event, job);
	if (!job->event || event_add(job->event, NULL) < 0) {
		if (job->event)
			event_free(job->event);
		safe_close(job->event_fd);
		free(job);
		return -ENOMEM;
	}
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->changed, NULL);
	*ret_job = job;
	return 0;
}

static int start_thread(struct job *job)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	job->n_refs++;
	r = pthread_create(&thread, &attributes, run, job);
	if (r != 0)
		job->n_refs--;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	job->has_thread = r == 0;
	return -r;
}

int job_start(struct job *job)
{
	int r = 0;

	pthread_mutex_lock(&job->lock);
	if (!job->has_thread)
		r = start_thread(job);
	if (r == 0) {
		job->wanted = true;
		pthread_cond_signal(&job->changed);
	}
	pthread_mutex_unlock(&job->lock);
	return r;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	event_free(job->event);
	pthread_mutex_lock(&job->lock);
	job->ended = true;
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	job_unref(job);
}
