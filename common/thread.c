/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads and their waits, over pthread(7). */

#include "common/thread.h"

#include "common/time_text.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

int thread_start(pthread_t *ret_thread, const char *name, size_t stack, void *(*run)(void *userdata),
		 void *userdata)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int r;

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	if (stack > 0)
		pthread_attr_setstacksize(&attributes, stack);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret_thread, &attributes, run, userdata);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (r != 0)
		return -r;
	pthread_setname_np(*ret_thread, name);
	return 0;
}

int thread_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int r = pthread_condattr_init(&attributes);

	if (r != 0)
		return -r;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	r = pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
	return -r;
}

bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t at)
{
	struct timespec ts = {.tv_sec = at / NSEC_PER_SEC, .tv_nsec = at % NSEC_PER_SEC};

	if (at == INT64_MAX)
		return pthread_cond_wait(condition, lock) == 0;
	return pthread_cond_timedwait(condition, lock, &ts) != ETIMEDOUT;
}

int64_t thread_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}
