/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker thread: order of jobs, second halves on the loop, watched descriptors, and the bound on what may
 * wait. */

#include "daemon/logger/worker.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct event_base *base;
static struct worker *worker;

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
	ck_assert_int_eq(worker_new(base, "test", &worker), 0);
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
	worker_drain(worker);
	ck_assert_int_eq(log.n_done, 3);
	ck_assert_uint_eq(worker_pending(worker), 0);
}
END_TEST

START_TEST(test_free_runs_what_waits)
{
	struct worker *other;
	struct log log = {};
	struct job jobs[3] = {{&log, 1}, {&log, 2}, {&log, 3}};

	ck_assert_int_eq(worker_new(base, "other", &other), 0);
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
};

static void on_readable(void *data)
{
	struct watched *watched = data;

	ck_assert_int_eq(read(watched->fd, &watched->seen, sizeof(watched->seen)), sizeof(watched->seen));
	worker_unwatch(worker, watched->fd);
}

static void watch(void *data)
{
	struct watched *watched = data;

	ck_assert_int_eq(worker_watch(worker, watched->fd, on_readable, watched), 0);
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
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
