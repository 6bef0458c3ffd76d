/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGKILL under load: at random times, and at every named point. A child appends numbered messages and
 * reports to the parent what was acknowledged; once it is dead, everything acknowledged is there, in order,
 * and nothing is damaged. The kill points are linked in here, whatever the build's option.
 */

#include "common/spool/check.h"
#include "common/spool/cursor.h"
#include "common/time_text.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH 2400

static char sink[] = "a";

/* What the child reports, one write each, so that it is never torn. */
struct told {
	enum { TOLD_STORED, TOLD_DELIVERING, TOLD_DELIVERED } what;
	uint64_t number;
};

/* What is known of the spool from all children so far. */
struct known {
	uint64_t stored;     /* up to here acknowledged */
	uint64_t delivering; /* the cursor may be here */
	uint64_t delivered;  /* and is at least here */
};

struct child {
	pid_t pid;
	int fd;
};

static int tell_fd;

static void tell(int what, uint64_t number)
{
	const struct told told = {.what = what, .number = number};

	if (write(tell_fd, &told, sizeof(told)) != sizeof(told))
		_exit(3);
}

/* Sequences are numbers here: same boot, no jump. */
static void on_stored(uint64_t sequence, void *userdata)
{
	(void)userdata;
	tell(TOLD_STORED, sequence);
}

/* Takes the next messages from the spool as an uploader would, and moves the cursor. */
static void deliver(struct spool_reader *reader, struct cursor *cursor, struct spool_writer *writer)
{
	struct cursor_state state = *cursor_state(cursor);
	struct spool_message message;
	struct spool_gap gap;

	while (spool_reader_next(reader, &message, &gap) == SPOOL_READ_MESSAGE)
		state.delivered = message.position;
	tell(TOLD_DELIVERING, state.delivered.sequence);
	if (cursor_write(cursor, &state) < 0)
		_exit(4);
	tell(TOLD_DELIVERED, state.delivered.sequence);
	spool_writer_prune(writer);
}

/* Appends without end from this number on. Asserts nothing: the test's reports are the parent's. */
static void child_work(uint64_t number, const char *path)
{
	static const struct spool_writer_ops ops = {.stored = on_stored};
	char message[LENGTH + 1];
	struct spool_writer *writer;
	struct spool_reader *reader;
	struct cursor *cursor;
	int fd;

	if (spool_writer_new(&spool_test.options, &ops, NULL, &writer, NULL) < 0)
		_exit(5);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		_exit(6);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cursor_open(fd, 0600, &cursor) != 0)
		_exit(7);
	fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool_reader_new(fd, &reader) < 0 ||
	    spool_reader_seek_position(reader, &cursor_state(cursor)->delivered) < 0)
		_exit(8);
	for (;; number++) {
		spool_test_text(number, LENGTH, message);
		if (spool_writer_append(writer, message, LENGTH, (int64_t)number * NSEC_PER_SEC) < 0)
			_exit(9);
		if (number % 16 == 0)
			deliver(reader, cursor, writer);
	}
}

static struct child start_child(uint64_t number, const char *point)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, sink);
	struct child child;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fflush(NULL);
	child.pid = fork();
	ck_assert_int_ge(child.pid, 0);
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tell_fd = fds[1];
		if (point)
			setenv("NETLOGD_KILL_POINT", point, 1);
		child_work(number, path);
		_exit(10);
	}
	close(fds[1]);
	child.fd = fds[0];
	return child;
}

/* Reads what a child reports until it has reported so much, or is dead. */
static void listen_to(struct child *child, struct known *known, unsigned int n)
{
	struct told told;

	for (; n > 0; n--) {
		ssize_t got = read(child->fd, &told, sizeof(told));

		if (got == 0)
			return;
		ck_assert_int_eq(got, sizeof(told));
		if (told.what == TOLD_STORED)
			known->stored = told.number;
		else if (told.what == TOLD_DELIVERING)
			known->delivering = told.number;
		else
			known->delivered = known->delivering = told.number;
	}
}

static void end_child(struct child *child, struct known *known)
{
	int status;

	listen_to(child, known, UINT32_MAX);
	close(child->fd);
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended with %d", status);
}

/* Asserts what must hold after any kill; returns the last number that is there. */
static uint64_t check_spool(const struct known *known)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = path_join(spool_test.upload, "a/cursor");
	struct spool_message message;
	struct spool_report report;
	struct cursor_state state = {};
	struct spool_gap gap;
	uint64_t last = 0;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) != SPOOL_READ_END) {
		uint64_t number;

		ck_assert_int_eq(r, SPOOL_READ_MESSAGE);
		number = spool_test_number(&message);
		/* Nothing goes that the sink does not have. */
		ck_assert(last > 0 ? number == last + 1 : number <= known->delivering + 1);
		last = number;
	}
	ck_assert_int_eq(spool_check(fd, NULL, NULL, &report), 0);
	ck_assert(spool_report_is_sound(&report));
	ck_assert(!report.in_use);
	r = cursor_read(AT_FDCWD, path, &state);
	ck_assert(r == 0 || (r == -ENOENT && known->delivered == 0));
	ck_assert_uint_ge(state.delivered.sequence, known->delivered);
	ck_assert_uint_le(state.delivered.sequence, known->delivering);
	/* What the sink has may all be gone: the kill came before anything new was stored. */
	last = MAX(last, state.delivered.sequence);
	ck_assert_uint_ge(last, known->stored);
	return last;
}

static void prepare(void)
{
	static char *const sinks[] = {sink, NULL};

	spool_test.options.files = NULL;
	spool_test.options.sinks = sinks;
	spool_test.options.segment_size = 100000;
	spool_test.options.sync_interval = NSEC_PER_MSEC;
}

START_TEST(at_random_times)
{
	struct timespec begin, now;
	struct known known = {};
	unsigned int kills = 0, seed = (unsigned int)getpid();
	uint64_t last = 0;

	prepare();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct child child = start_child(last + 1, NULL);

		/* The first lives until there is a spool to check. */
		listen_to(&child, &known, (unsigned int)rand_r(&seed) % 60 + (kills == 0 ? 1 : 0));
		ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
		end_child(&child, &known);
		last = check_spool(&known);
		kills++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (kills < 400 && now.tv_sec - begin.tv_sec < 15);
	printf("%u kills, %llu messages\n", kills, (unsigned long long)last);
	ck_assert_uint_ge(kills, 20);
	ck_assert_uint_gt(last, kills);
}
END_TEST

START_TEST(at_every_point)
{
	static const char *const points[] = {
		"spool-segment-made",	 "spool-header-written", "spool-segment-named",
		"spool-mid-frame",	 "spool-tail-cut",	 "spool-mid-frame:7",
		"spool-before-sync",	 "spool-before-sync:5",	 "spool-after-sync",
		"spool-after-sync:5",	 "spool-segment-made:3", "spool-header-written:3",
		"spool-segment-named:3", "spool-before-remove",	 "spool-before-remove:3",
		"spool-after-remove",	 "spool-after-remove:3", "cursor-torn",
		"cursor-torn:3",	 "cursor-written",	 "cursor-written:3",
		"cursor-synced",	 "cursor-synced:3",
	};
	struct known known = {};
	uint64_t last = 0;

	prepare();
	spool_test.options.segment_size = 10000;
	/* On the very first start, too. */
	struct child first = start_child(1, "cursor-made");
	end_child(&first, &known);
	last = check_spool(&known);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		struct child child = start_child(last + 1, points[i]);

		end_child(&child, &known);
		last = check_spool(&known);
	}
	ck_assert_uint_gt(last, ARRAY_SIZE(points));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		at_random_times,
		at_every_point,
	};

	return spool_test_run("spool kill", tests, ARRAY_SIZE(tests));
}
