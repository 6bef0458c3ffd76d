/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker: order of jobs, second halves on the loop, watched descriptors, the bound on what may wait, and
 * both of its ends. */

#include "common/worker.h"

#include "common/time_text.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct event_base *base;
static struct worker *worker;
static int failing_writes; /* atomic: that many more writes fail */

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	if (__atomic_load_n(&failing_writes, __ATOMIC_RELAXED) > 0) {
		__atomic_fetch_sub(&failing_writes, 1, __ATOMIC_RELAXED);
		errno = ENOMEM;
		return -1;
	}
	return __real_write(fd, data, n);
}

struct log {
	int entries[64];
	int n;
	int done[64];
	int n_done;
	pthread_t thread, loop;
	int stop_after;
};

struct job {
	struct log *log;
	int number;
};

static void setup(void)
{
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(worker_new(base, "test", 0, &worker), 0);
}

static void teardown(void)
{
	worker_free(worker);
	event_base_free(base);
}

static void run(void *data)
{
	struct job *job = data;

	job->log->thread = pthread_self();
	job->log->entries[job->log->n++] = job->number;
}

static void done(void *data)
{
	struct job *job = data;
	struct log *log = job->log;

	log->loop = pthread_self();
	log->done[log->n_done++] = job->number;
	if (log->n_done == log->stop_after)
		event_base_loopbreak(base);
}

START_TEST(test_in_order_on_the_thread_and_back)
{
	struct log log = {.stop_after = 20};
	struct job jobs[20];

	for (int i = 0; i < 20; i++) {
		jobs[i] = (struct job){&log, i};
		ck_assert_int_eq(worker_post(worker, run, done, &jobs[i]), 0);
	}
	event_base_dispatch(base);
	ck_assert_int_eq(log.n, 20);
	ck_assert_int_eq(log.n_done, 20);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(log.entries[i], i);
		ck_assert_int_eq(log.done[i], i);
	}
	ck_assert(!pthread_equal(log.thread, pthread_self()));
	ck_assert(pthread_equal(log.loop, pthread_self()));
	ck_assert_uint_eq(worker_pending(worker), 0);
}
END_TEST

START_TEST(test_drain_runs_what_waits)
{
	struct log log = {};
	struct job jobs[3] = {{&log, 1}, {&log, 2}, {&log, 3}};

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(worker_post(worker, run, done, &jobs[i]), 0);
	ck_assert_int_eq(worker_drain_within(worker, 60000), 0);
	ck_assert_int_eq(log.n_done, 3);
	ck_assert_uint_eq(worker_pending(worker), 0);
}
END_TEST

START_TEST(test_free_runs_what_waits)
{
	struct worker *other;
	struct log log = {};
	struct job jobs[3] = {{&log, 1}, {&log, 2}, {&log, 3}};

	ck_assert_int_eq(worker_new(base, "other", 0, &other), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(worker_post(other, run, done, &jobs[i]), 0);
	worker_free(other);
	ck_assert_int_eq(log.n, 3);
	ck_assert_int_eq(log.n_done, 3);
}
END_TEST

static void hold(void *data)
{
	uint64_t count;

	ck_assert_int_eq(read(*(int *)data, &count, sizeof(count)), sizeof(count));
}

START_TEST(test_queue_is_bounded)
{
	int gate = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;

	ck_assert_int_ge(gate, 0);
	for (int i = 0; i < WORKER_QUEUE_MAX; i++) {
		struct log *none = NULL;

		ck_assert_int_eq(
			worker_post(worker, i ? (worker_fn)free : hold, NULL, i ? (void *)none : &gate), 0);
	}
	ck_assert_int_eq(worker_post(worker, hold, NULL, &gate), -EAGAIN);
	ck_assert_int_eq(write(gate, &one, sizeof(one)), sizeof(one));
	worker_drain(worker);
	close(gate);
}
END_TEST

struct watched {
	int fd;
	uint64_t seen;
	int64_t pause;
	unsigned int calls;
	int64_t called_at[8];
};

static void on_readable(void *data)
{
	struct watched *watched = data;

	ck_assert_int_eq(read(watched->fd, &watched->seen, sizeof(watched->seen)), sizeof(watched->seen));
	worker_unwatch(worker, watched->fd);
}

/* Stays watched. */
static void on_readable_again(void *data)
{
	struct watched *watched = data;
	uint64_t value;

	ck_assert_int_eq(read(watched->fd, &value, sizeof(value)), sizeof(value));
	watched->called_at[watched->calls] = time_now_boot();
	watched->seen += value;
	__atomic_add_fetch(&watched->calls, 1, __ATOMIC_RELEASE);
}

static void watch_with_a_pause(void *data)
{
	struct watched *watched = data;

	ck_assert_int_eq(worker_watch(worker, watched->fd, watched->pause, on_readable_again, watched), 0);
}

static void unwatch(void *data)
{
	worker_unwatch(worker, ((struct watched *)data)->fd);
}

static void watch(void *data)
{
	struct watched *watched = data;

	ck_assert_int_eq(worker_watch(worker, watched->fd, watched->pause, on_readable, watched), 0);
}

static void nothing(void *data)
{
	(void)data;
}

START_TEST(test_watches_a_descriptor)
{
	struct watched watched = {.fd = eventfd(0, EFD_CLOEXEC)};
	uint64_t value = 7;

	ck_assert_int_eq(worker_post(worker, watch, nothing, &watched), 0);
	worker_drain(worker);
	ck_assert_int_eq(write(watched.fd, &value, sizeof(value)), sizeof(value));
	/* The thread looks at its descriptors between two jobs. */
	while (__atomic_load_n(&watched.seen, __ATOMIC_ACQUIRE) == 0) {
		ck_assert_int_eq(worker_post(worker, nothing, nothing, NULL), 0);
		worker_drain(worker);
	}
	ck_assert_uint_eq(watched.seen, 7);
	close(watched.fd);
}
END_TEST

static void await_calls(const struct watched *watched, unsigned int calls)
{
	while (__atomic_load_n(&watched->calls, __ATOMIC_ACQUIRE) < calls) {
		ck_assert_int_eq(worker_post(worker, nothing, nothing, NULL), 0);
		worker_drain(worker);
	}
}

/* The first is told at once, what comes in the pause together after it. */
START_TEST(test_pauses_between_two_calls)
{
	struct watched watched = {.fd = eventfd(0, EFD_CLOEXEC), .pause = NSEC_PER_SEC / 5};
	uint64_t one = 1;

	ck_assert_int_eq(worker_post(worker, watch_with_a_pause, nothing, &watched), 0);
	worker_drain(worker);
	ck_assert_int_eq(write(watched.fd, &one, sizeof(one)), sizeof(one));
	await_calls(&watched, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(watched.fd, &one, sizeof(one)), sizeof(one));
		/* Jobs do not wait. */
		ck_assert_int_eq(worker_post(worker, nothing, nothing, NULL), 0);
		worker_drain(worker);
	}
	await_calls(&watched, 2);
	ck_assert_uint_eq(watched.seen, 4);
	ck_assert_int_ge(watched.called_at[1] - watched.called_at[0], watched.pause);
	ck_assert_int_eq(worker_post(worker, unwatch, nothing, &watched), 0);
	worker_drain(worker);
	close(watched.fd);
}
END_TEST

static void fail_two_writes(void *data)
{
	(void)data;
	__atomic_store_n(&failing_writes, 2, __ATOMIC_RELAXED);
}

/* A side that is not woken would wait forever. */
START_TEST(test_failing_signals_are_repeated)
{
	struct log log = {.stop_after = 1};
	struct job job = {&log, 1};

	fail_two_writes(NULL);
	ck_assert_int_eq(worker_post(worker, run, done, &job), 0);
	event_base_dispatch(base);
	ck_assert_int_eq(log.n_done, 1);
	ck_assert_int_eq(worker_post(worker, fail_two_writes, done, &job), 0);
	log.stop_after = 2;
	event_base_dispatch(base);
	ck_assert_int_eq(log.n_done, 2);
	ck_assert_int_eq(failing_writes, 0);
}
END_TEST

/* What a worker that is abandoned shares with its owner. */
struct shared {
	int gate;     /* the job hangs until it is readable */
	int begun;    /* readable once the job hangs */
	int released; /* readable once release() was called */
	int n_run;
	int n_done;
	pthread_t releaser;
	struct worker *abandoned_by_done;
};

static void add_one(int fd)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

static void hang(void *data)
{
	struct shared *shared = data;

	shared->n_run++;
	add_one(shared->begun);
	hold(&shared->gate);
}

static void count_run(void *data)
{
	struct shared *shared = data;

	shared->n_run++;
}

static void release(void *data)
{
	struct shared *shared = data;

	shared->releaser = pthread_self();
	add_one(shared->released);
}

static void count_done(void *data)
{
	struct shared *shared = data;

	shared->n_done++;
	if (shared->abandoned_by_done)
		worker_abandon(shared->abandoned_by_done, release, shared);
}

static struct shared shared_new(void)
{
	struct shared shared = {
		.gate = eventfd(0, EFD_CLOEXEC),
		.begun = eventfd(0, EFD_CLOEXEC),
		.released = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};

	ck_assert(shared.gate >= 0 && shared.begun >= 0 && shared.released >= 0);
	return shared;
}

static bool is_released(const struct shared *shared)
{
	uint64_t count;

	return read(shared->released, &count, sizeof(count)) == sizeof(count);
}

static void wait_for_release(struct shared *shared)
{
	struct pollfd fd = {.fd = shared->released, .events = POLLIN};

	ck_assert_int_eq(poll(&fd, 1, -1), 1);
	ck_assert(is_released(shared));
	close(shared->gate);
	close(shared->begun);
	close(shared->released);
}

START_TEST(test_a_hanging_job_is_abandoned)
{
	struct shared shared = shared_new();
	struct worker *other;

	ck_assert_int_eq(worker_new(base, "other", 128 * 1024, &other), 0);
	ck_assert_int_eq(worker_post(other, hang, count_done, &shared), 0);
	ck_assert_int_eq(worker_post(other, count_run, count_done, &shared), 0);
	hold(&shared.begun);
	ck_assert_int_eq(worker_drain_within(other, 10), -ETIMEDOUT);
	/* It returns although the job hangs, and what they share stays until the job has returned. */
	worker_abandon(other, release, &shared);
	ck_assert(!is_released(&shared));
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	add_one(shared.gate);
	wait_for_release(&shared);
	ck_assert(!pthread_equal(shared.releaser, pthread_self()));
	/* What waited has not run, and there was no second half. */
	ck_assert_int_eq(shared.n_run, 1);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	ck_assert_int_eq(shared.n_done, 0);
}
END_TEST

START_TEST(test_an_idle_worker_is_abandoned)
{
	struct shared shared = shared_new();
	struct worker *other;

	ck_assert_int_eq(worker_new(base, "other", 0, &other), 0);
	ck_assert_int_eq(worker_post(other, count_run, count_done, &shared), 0);
	worker_drain(other);
	worker_abandon(other, release, &shared);
	wait_for_release(&shared);
	ck_assert_int_eq(shared.n_run, 1);
	ck_assert_int_eq(shared.n_done, 1);
}
END_TEST

START_TEST(test_abandoned_by_a_second_half)
{
	struct shared shared = shared_new();
	struct worker *other;

	ck_assert_int_eq(worker_new(base, "other", 0, &other), 0);
	shared.abandoned_by_done = other;
	ck_assert_int_eq(worker_post(other, count_run, count_done, &shared), 0);
	while (shared.n_done == 0)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	wait_for_release(&shared);
}
END_TEST

START_TEST(test_no_worker_is_abandoned)
{
	struct shared shared = shared_new();

	worker_abandon(NULL, release, &shared);
	ck_assert(pthread_equal(shared.releaser, pthread_self()));
	wait_for_release(&shared);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker");
	TCase *tcase = tcase_create("worker");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_in_order_on_the_thread_and_back);
	tcase_add_test(tcase, test_drain_runs_what_waits);
	tcase_add_test(tcase, test_free_runs_what_waits);
	tcase_add_test(tcase, test_queue_is_bounded);
	tcase_add_test(tcase, test_watches_a_descriptor);
	tcase_add_test(tcase, test_pauses_between_two_calls);
	tcase_add_test(tcase, test_failing_signals_are_repeated);
	tcase_add_test(tcase, test_a_hanging_job_is_abandoned);
	tcase_add_test(tcase, test_an_idle_worker_is_abandoned);
	tcase_add_test(tcase, test_abandoned_by_a_second_half);
	tcase_add_test(tcase, test_no_worker_is_abandoned);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
