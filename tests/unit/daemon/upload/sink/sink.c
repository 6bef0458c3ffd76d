/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine behind all sinks, with a clock that is moved by hand and a server that is a script: hours of
 * outage in a moment, and every time between two tries known.
 */

#include "daemon/upload/sink/sink.h"
#include "daemon/upload/sink/quarantine.h"

#include "common/buffer.h"
#include "common/file.h"
#include "common/spool/cursor.h"
#include "common/spool/format.h"
#include "daemon/spool/writer.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND	  INT64_C(1000000000)
#define TRIES_MAX 4096

static char directory[64];
static int upload_fd, spool_fd;

/* What the test sees of one sink. */
static struct world {
	int64_t now;
	int64_t wake; /* when the sink wants to run; -1: not at all */
	struct sink *sink;
	struct {
		size_t n;
		uint64_t first, last;
	} batches[2]; /* one under way and one made meanwhile */
	int made, sent;
	bool makes_ahead, has_room;

	struct {
		int64_t at;
		uint64_t first, last, messages;
	} tries[TRIES_MAX];
	size_t n_tries;
	/* NULL: the test answers by itself. */
	struct answer (*server)(const struct batch_bounds *bounds, size_t attempt);
	uint64_t batch_max;
} world;

static int64_t world_boot(void *userdata)
{
	(void)userdata;
	return world.now;
}

static int64_t world_wall(void *userdata)
{
	(void)userdata;
	return INT64_C(1700000000) * SECOND + world.now;
}

static uint64_t world_random(void *userdata)
{
	(void)userdata;
	return 0;
}

static const struct clock clock_ops = {.boot = world_boot, .wall = world_wall, .random = world_random};

static void wake_at(struct sink *sink, int64_t boot, void *userdata)
{
	(void)sink;
	(void)userdata;
	world.wake = boot;
}

static void changed(struct sink *sink, void *userdata)
{
	(void)sink;
	(void)userdata;
}

static const struct sink_host_ops host_ops = {.wake_at = wake_at, .changed = changed};

static const struct sink_context *context_of;

static int fake_new(const struct sink_context *context, void **ret_state)
{
	context_of = context;
	*ret_state = &world;
	return 0;
}

static void fake_free(void *state)
{
	(void)state;
}

static void fake_begin(void *state, const struct batch_bounds *bounds)
{
	(void)state;
	(void)bounds;
	world.batches[world.made].n = 0;
}

static int fake_add(void *state, const struct batch_item *item)
{
	(void)state;
	if (item->index >= world.batch_max)
		return -E2BIG;
	if (world.batches[world.made].n++ == 0)
		world.batches[world.made].first = item->message->sequence;
	world.batches[world.made].last = item->message->sequence;
	return 0;
}

static void fake_send(void *state, const struct batch_bounds *bounds)
{
	struct answer answer;

	(void)state;
	ck_assert_uint_eq(bounds->messages, world.batches[world.made].n);
	ck_assert_uint_eq(bounds->first, world.batches[world.made].first);
	ck_assert_uint_eq(bounds->last, world.batches[world.made].last);
	world.sent = world.made;
	ck_assert_uint_lt(world.n_tries, TRIES_MAX);
	world.tries[world.n_tries].at = world.now;
	world.tries[world.n_tries].first = bounds->first;
	world.tries[world.n_tries].last = bounds->last;
	world.tries[world.n_tries].messages = bounds->messages;
	if (!world.server) {
		world.n_tries++;
		return;
	}
	answer = world.server(bounds, world.n_tries++);
	sink_answered(context_of->sink, &answer, 1000);
}

static bool fake_ahead(void *state)
{
	(void)state;
	if (!world.has_room)
		return false;
	world.made = !world.sent;
	world.batches[world.made].n = 0;
	return true;
}

static void fake_back(void *state)
{
	(void)state;
	world.made = world.sent;
}

static const struct sink_ops fake_ops = {
	.name = "fake",
	.new = fake_new,
	.free = fake_free,
	.begin = fake_begin,
	.add = fake_add,
	.send = fake_send,
};

static const struct sink_ops fake_ahead_ops = {
	.name = "fake",
	.new = fake_new,
	.free = fake_free,
	.begin = fake_begin,
	.add = fake_add,
	.send = fake_send,
	.ahead = fake_ahead,
	.back = fake_back,
};

static struct sink_config sink_config;

static void stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

static void fill(int n)
{
	static const struct spool_writer_ops ops = {.stored = stored};
	char path[96], message[128];
	struct spool_writer_options options = {
		.directory = path,
		.max_size = 64 << 20,
		.upload_directory = directory,
		.file_mode = 0600,
	};
	struct spool_writer *writer;
	char *reason = NULL;

	snprintf(path, sizeof(path), "%s/spool", directory);
	ck_assert_int_eq(spool_writer_new(&options, &ops, NULL, &writer, &reason), 0);
	for (int i = 0; i < n; i++) {
		snprintf(message, sizeof(message), "{\"logtail\":{\"proc_id\":1,\"proc_seq\":%d}}", i + 1);
		ck_assert_int_eq(spool_writer_append(writer, message, strlen(message), SECOND), 0);
	}
	ck_assert_int_eq(spool_writer_sync(writer, 10000), 0);
	spool_writer_free(writer);
	spool_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(spool_fd, 0);
}

static void make_sink(void)
{
	struct sink_options options = {
		.ops = world.makes_ahead ? &fake_ahead_ops : &fake_ops,
		.context = {.config = &sink_config, .clock = &clock_ops, .quarantine_max = 1 << 20},
		.upload_fd = upload_fd,
		.spool_fd = &spool_fd,
		.host = &host_ops,
	};

	ck_assert_int_eq(sink_new(&options, &world.sink), 0);
}

static void setup(void)
{
	strcpy(directory, "/tmp/netlogd-sink-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	upload_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world = (struct world){.now = 1000 * SECOND, .batch_max = 100};
	sink_config = (struct sink_config){.name = (char *)"fake"};
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	sink_free(world.sink);
	close(upload_fd);
	close(spool_fd);
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Lets time pass until this boot time, or until nothing is to be done. */
static void run_until(int64_t end)
{
	world.wake = world.wake == 0 ? 0 : world.now;
	while (world.wake >= 0 && world.wake <= end) {
		world.now = world.wake > world.now ? world.wake : world.now;
		world.wake = -1;
		sink_run(world.sink);
	}
	world.now = end;
}

static struct answer say(enum verdict verdict, int64_t retry_after)
{
	return (struct answer){.verdict = verdict, .retry_after = retry_after, .text = "scripted"};
}

static struct answer outage(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_RETRY, -1);
}

START_TEST(test_hours_of_outage)
{
	static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct sink_status status;

	fill(250);
	world.server = outage;
	make_sink();
	run_until(world.now + 6 * 3600 * SECOND);
	for (size_t i = 0; i < world.n_tries; i++) {
		int64_t wait = waits[i < 7 ? i : 7] * SECOND;

		ck_assert_uint_eq(world.tries[i].first, 1);
		ck_assert_uint_eq(world.tries[i].last, 100);
		if (i + 1 < world.n_tries)
			ck_assert_int_eq(world.tries[i + 1].at - world.tries[i].at, wait);
	}
	/* Once a minute for six hours, and six sooner. */
	ck_assert_uint_eq(world.n_tries, 6 + 1 + (6 * 3600 - 63) / 60);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_uint_eq(status.backlog_messages, 250);
	ck_assert_uint_eq(status.retries, world.n_tries - 1);
}
END_TEST

static struct answer wait_long(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	return attempt == 0   ? say(VERDICT_RETRY, 7 * SECOND)
	       : attempt == 1 ? say(VERDICT_RETRY, 4000 * SECOND)
	       : attempt == 2 ? say(VERDICT_RETRY, 0)
			      : say(VERDICT_DELIVERED, -1);
}

START_TEST(test_retry_after_is_kept_and_bounded)
{
	fill(3);
	world.server = wait_long;
	make_sink();
	run_until(world.now + 3600 * SECOND);
	ck_assert_uint_eq(world.n_tries, 4);
	ck_assert_int_eq(world.tries[1].at - world.tries[0].at, 7 * SECOND);
	ck_assert_int_eq(world.tries[2].at - world.tries[1].at, 300 * SECOND);
	ck_assert_int_eq(world.tries[3].at - world.tries[2].at, SECOND / 2);
}
END_TEST

static struct answer refuse_all(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_REFUSED, -1);
}

static struct answer accept_all(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_DELIVERED, -1);
}

START_TEST(test_all_refused_for_an_hour)
{
	struct sink_status status;
	size_t probes = 0;

	fill(40);
	world.server = refuse_all;
	make_sink();
	run_until(world.now + 3600 * SECOND);
	for (size_t i = 1; i < world.n_tries; i++)
		if (world.tries[i].at != world.tries[0].at) {
			ck_assert_uint_eq(world.tries[i].first, 1);
			ck_assert_uint_eq(world.tries[i].messages, 1);
			ck_assert_int_eq((world.tries[i].at - world.tries[0].at) % (60 * SECOND), 0);
			probes++;
		}
	ck_assert_uint_eq(probes, 60);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.quarantined, 0);
	ck_assert_uint_eq(status.delivered_sequence, 0);
	world.server = accept_all;
	run_until(world.now + 120 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 40);
	ck_assert_uint_eq(status.sent_messages, 40);
}
END_TEST

static struct answer certificate_trouble(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	return say(attempt < 30 ? VERDICT_MISCONFIGURED : VERDICT_DELIVERED, -1);
}

/* What only a person can put right is tried once a minute, however long it takes. */
START_TEST(test_misconfigured_each_minute)
{
	struct sink_status status;

	fill(3);
	world.server = certificate_trouble;
	make_sink();
	run_until(world.now + 29 * 60 * SECOND + SECOND);
	ck_assert_uint_eq(world.n_tries, 30);
	for (size_t i = 1; i < world.n_tries; i++)
		ck_assert_int_eq(world.tries[i].at - world.tries[i - 1].at, 60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.backlog_messages, 3);
	run_until(world.now + 60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_ne(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.sent_messages, 3);
}
END_TEST

/* Refuses what holds one of these. */
static struct answer refuse_some(const struct batch_bounds *bounds, size_t attempt)
{
	static const uint64_t bad[] = {1, 2, 17, 64, 65, 66, 99};

	(void)attempt;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (bounds->first <= bad[i] && bad[i] <= bounds->last)
			return say(VERDICT_REFUSED, -1);
	return say(VERDICT_DELIVERED, -1);
}

START_TEST(test_refused_ones_are_found_by_halves)
{
	struct sink_status status;

	fill(100);
	world.server = refuse_some;
	make_sink();
	run_until(world.now + 10 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.quarantined, 7);
	ck_assert_uint_eq(status.sent_messages, 93);
	ck_assert_uint_eq(status.delivered_sequence, 100);
	ck_assert_uint_eq(status.backlog_messages, 0);
	/* Seven of a hundred: at most two batches for each of log2(100) levels, for each of them. */
	ck_assert_uint_lt(world.n_tries, 7 * 2 * 7 + 2);
}
END_TEST

START_TEST(test_interrupted_batch_is_the_same)
{
	fill(30);
	world.server = outage;
	world.batch_max = 8;
	make_sink();
	run_until(world.now);
	ck_assert_uint_eq(world.tries[0].last, 8);
	sink_free(world.sink);
	/* More would fit now, but the batch has its bounds. */
	world.batch_max = 20;
	world.server = accept_all;
	make_sink();
	run_until(world.now + SECOND);
	ck_assert_uint_eq(world.n_tries, 4);
	ck_assert_uint_eq(world.tries[1].first, 1);
	ck_assert_uint_eq(world.tries[1].last, 8);
	ck_assert_uint_eq(world.tries[2].first, 9);
	ck_assert_uint_eq(world.tries[2].last, 28);
	ck_assert_uint_eq(world.tries[3].last, 30);
}
END_TEST

static struct cursor_state durable[8];

/* What would be known after a crash, at each try. The fourth comes after a while and finds an outage. */
static struct answer crash_and_accept(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	ck_assert_uint_lt(attempt, 8);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &durable[attempt]), 0);
	if (attempt == 2)
		world.now += SECOND / 10;
	return say(attempt == 4 ? VERDICT_RETRY : VERDICT_DELIVERED, -1);
}

START_TEST(test_full_batches_share_a_sync)
{
	struct cursor_state now;

	fill(60);
	world.batch_max = 10;
	world.server = crash_and_accept;
	make_sink();
	run_until(world.now + SECOND / 5);
	ck_assert_uint_eq(world.n_tries, 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(world.tries[i].first, 10 * i + 1);
	ck_assert_uint_eq(durable[0].batch.first, 1);
	ck_assert_uint_eq(durable[1].delivered.sequence, 0);
	ck_assert_uint_eq(durable[2].delivered.sequence, 0);
	ck_assert_uint_eq(durable[3].delivered.sequence, 30);
	ck_assert_uint_eq(durable[4].delivered.sequence, 30);
	/* What waits is on disk, and so is what was accepted before it. */
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &now), 0);
	ck_assert_uint_eq(now.delivered.sequence, 40);
	ck_assert_uint_eq(now.batch.first, 41);
	ck_assert_uint_eq(now.batch.last, 50);
	run_until(world.now + 2 * SECOND);
	ck_assert_uint_eq(world.n_tries, 7);
	/* The last one was not full: more might have come. */
	ck_assert_uint_eq(durable[6].delivered.sequence, 50);
	ck_assert_uint_eq(durable[6].batch.last, 60);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &now), 0);
	ck_assert_uint_eq(now.delivered.sequence, 60);
}
END_TEST

static struct answer accept_three(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	/* Killed while the fourth is under way: an answer that nobody hears. */
	if (attempt == 3) {
		ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &durable[0]), 0);
		ck_assert_int_eq(cursor_read(upload_fd, "fake/recent", &durable[1]), 0);
	}
	return say(VERDICT_DELIVERED, -1);
}

enum { KILLED, POWER_CUT, CURSOR_REMOVED, CURSOR_DAMAGED };

/* As after SIGKILL, without what was not synced after a power cut; or with a cursor that is no more. */
static void begin_again_from(int how)
{
	uint8_t recent[CURSOR_SLOT_SIZE];
	struct cursor *cursor;
	int fd;

	sink_free(world.sink);
	ck_assert_int_eq(renameat(upload_fd, "fake", upload_fd, "old"), 0);
	ck_assert_int_eq(mkdirat(upload_fd, "fake", 0700), 0);
	fd = openat(upload_fd, "fake", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (how == CURSOR_DAMAGED) {
		ck_assert_int_eq(file_write_atomic(fd, "cursor", "damaged", 7, 0600), 0);
	} else if (how != CURSOR_REMOVED) {
		ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
		ck_assert_int_eq(cursor_write(cursor, &durable[0]), 0);
		cursor_free(cursor);
	}
	cursor_encode(&durable[1], 1, recent);
	if (how != POWER_CUT)
		ck_assert_int_eq(file_write_atomic(fd, "recent", recent, sizeof(recent), 0600), 0);
	close(fd);
	if (how == CURSOR_REMOVED || how == CURSOR_DAMAGED) {
		/* It begins, and is killed once more before anything is delivered. */
		world.server = outage;
		make_sink();
		run_until(world.now);
		sink_free(world.sink);
	}
	world.n_tries = 0;
	world.server = accept_all;
	make_sink();
	run_until(world.now + SECOND);
}

START_TEST(test_killed_between_syncs)
{
	fill(60);
	world.batch_max = 10;
	world.server = accept_three;
	make_sink();
	run_until(world.now + SECOND / 5);
	ck_assert_uint_eq(durable[0].delivered.sequence, 0);
	begin_again_from(_i);
	/* The batch under way, or all since the last sync; the same ones as before. What was kept beside a
	 * cursor says nothing without it. */
	ck_assert_uint_eq(world.tries[0].first, _i == KILLED ? 31 : 1);
	ck_assert_uint_eq(world.tries[0].last, _i == KILLED ? 40 : 10);
	ck_assert_uint_eq(world.tries[world.n_tries - 1].last, 60);
	ck_assert_uint_eq(world.n_tries, _i == KILLED ? 3 : 6);
}
END_TEST

static size_t count_quarantined(void)
{
	int fd = openat(upload_fd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fdopendir(fd);
	size_t n = 0;

	for (struct dirent *entry; (entry = readdir(entries));)
		n += entry->d_name[0] != '.';
	closedir(entries);
	return n;
}

/* In a spool that is made anew sequences begin again: what was kept of the one before stays. */
START_TEST(test_quarantine_of_two_spools)
{
	struct spool_message message = {.sequence = 3, .data = "first", .length = 5};

	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	message.position.spool_id.bytes[0] = 1;
	message.data = "other";
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	ck_assert_uint_eq(count_quarantined(), 2);
	/* The oldest goes, whatever its number is. */
	message.sequence = 1;
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 14), 0);
	ck_assert_uint_eq(count_quarantined(), 2);
	ck_assert_int_eq(faccessat(upload_fd, "quarantine/0000000000000003-00000000.json", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(upload_fd, "quarantine/0000000000000003-01000000.json", F_OK, 0), 0);
}
END_TEST

START_TEST(test_rate_limit)
{
	fill(30);
	world.server = accept_all;
	world.batch_max = 10;
	sink_config.rate_limit = 500; /* and every batch is said to take 1000 bytes */
	make_sink();
	run_until(world.now + 60 * SECOND);
	ck_assert_uint_eq(world.n_tries, 3);
	ck_assert_int_eq(world.tries[1].at - world.tries[0].at, 2 * SECOND);
	ck_assert_int_eq(world.tries[2].at - world.tries[1].at, 2 * SECOND);
}
END_TEST

START_TEST(test_flush_interval)
{
	fill(30);
	world.server = accept_all;
	sink_config.flush_interval = 60 * SECOND;
	make_sink();
	run_until(world.now + 59 * SECOND);
	/* The phase that chance gave is zero, and what comes at that moment waits for the next. */
	ck_assert_uint_eq(world.n_tries, 0);
	run_until(world.now + 2 * SECOND);
	ck_assert_uint_eq(world.n_tries, 1);
	ck_assert_uint_eq(world.tries[0].messages, 30);
}
END_TEST

static struct answer more_meanwhile(const struct batch_bounds *bounds, size_t attempt)
{
	if (attempt == 0) {
		close(spool_fd);
		fill(1);
	}
	return accept_all(bounds, attempt);
}

/* What comes while the last batch is under way belongs to the flush: it was stored before it was asked for.
 */
START_TEST(test_flush_looks_again_after_an_answer)
{
	struct sink_status status;

	fill(3);
	world.server = more_meanwhile;
	make_sink();
	sink_flush(world.sink, world.now + SECOND);
	sink_run(world.sink);
	ck_assert_uint_eq(world.n_tries, 1);
	ck_assert(!sink_is_settled(world.sink));
	run_until(world.now + SECOND);
	ck_assert(sink_is_settled(world.sink));
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.sent_messages, 4);
}
END_TEST

/* Answers the batch under way, by itself, and lets what follows happen. */
static void answer_now(enum verdict verdict)
{
	struct answer answer = say(verdict, -1);

	sink_answered(world.sink, &answer, 1000);
	run_until(world.now);
}

static void check_try(size_t i, uint64_t first, uint64_t last)
{
	ck_assert_uint_eq(world.n_tries, i + 1);
	ck_assert_uint_eq(world.tries[i].first, first);
	ck_assert_uint_eq(world.tries[i].last, last);
}

static void begin_ahead(void)
{
	world.makes_ahead = world.has_room = true;
	make_sink();
	run_until(world.now);
	check_try(0, 1, 100);
	/* The second is made, and not sent. */
	ck_assert_int_ne(world.made, world.sent);
	ck_assert_uint_eq(world.batches[world.made].first, 101);
}

START_TEST(test_next_batch_is_made_meanwhile)
{
	struct sink_status status;

	fill(250);
	begin_ahead();
	ck_assert_uint_eq(world.batches[world.made].last, 200);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 0);
	ck_assert_uint_eq(status.backlog_messages, 250);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 100);
	ck_assert_uint_eq(status.sent_messages, 100);
	/* The end of the spool: what is there is made, and takes its turn after the answer. */
	ck_assert_uint_eq(world.batches[world.made].last, 250);
	close(spool_fd);
	fill(20);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 201, 270);
	answer_now(VERDICT_DELIVERED);
	ck_assert_uint_eq(world.n_tries, 3);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 270);
	ck_assert_uint_eq(status.sent_messages, 270);
	ck_assert(sink_is_settled(world.sink));
}
END_TEST

/* Any answer but yes: the same batch again, or its halves, and then what follows, each once and in order. */
START_TEST(test_what_was_made_meanwhile_is_dropped)
{
	static const enum verdict verdicts[] = {VERDICT_RETRY, VERDICT_MISCONFIGURED, VERDICT_REFUSED};
	enum verdict verdict = verdicts[_i];
	struct sink_status status;
	uint64_t next = 1;

	fill(250);
	begin_ahead();
	answer_now(verdict);
	ck_assert_int_eq(world.made, world.sent);
	run_until(world.now + 120 * SECOND);
	check_try(1, 1, verdict == VERDICT_REFUSED ? 50 : 100);
	ck_assert_uint_eq(world.tries[1].messages, world.tries[1].last);
	for (size_t i = 1; next <= 250; i++) {
		ck_assert_uint_eq(world.n_tries, i + 1);
		ck_assert_uint_eq(world.tries[i].first, next);
		next = world.tries[i].last + 1;
		answer_now(VERDICT_DELIVERED);
	}
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 250);
	ck_assert_uint_eq(status.sent_messages, 250);
	ck_assert_uint_eq(status.quarantined, 0);
}
END_TEST

/* What was only made is nowhere on disk: the one under way is sent again, the same. */
START_TEST(test_ended_with_a_batch_made_meanwhile)
{
	fill(250);
	begin_ahead();
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	sink_free(world.sink);
	world.made = world.sent = 0;
	world.batch_max = 150;
	make_sink();
	run_until(world.now);
	check_try(2, 101, 200);
	answer_now(VERDICT_DELIVERED);
	check_try(3, 201, 250);
}
END_TEST

START_TEST(test_no_room_for_a_second_batch)
{
	fill(250);
	world.makes_ahead = true;
	make_sink();
	run_until(world.now);
	check_try(0, 1, 100);
	ck_assert_int_eq(world.made, world.sent);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 201, 250);
}
END_TEST

static void damage_message(int number)
{
	char pattern[96], text[64], *at;
	static char data[1 << 16];
	glob_t found;
	ssize_t n;
	int fd;

	snprintf(pattern, sizeof(pattern), "%s/spool/*.seg", directory);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	globfree(&found);
	n = pread(fd, data, sizeof(data), 0);
	snprintf(text, sizeof(text), "\"proc_seq\":%d}", number);
	at = memmem(data, (size_t)n, text, strlen(text));
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(pwrite(fd, "X", 1, at - data), 1);
	close(fd);
}

/* A loss ends what is made meanwhile, and is told once, at the beginning of the batch after it. */
START_TEST(test_loss_in_a_batch_made_meanwhile)
{
	struct sink_status status;

	fill(250);
	damage_message(150);
	begin_ahead();
	ck_assert_uint_eq(world.batches[world.made].last, 149);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 149);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 151, 250);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.lost_messages, 1);
	answer_now(VERDICT_DELIVERED);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 250);
	ck_assert_uint_eq(status.lost_messages, 1);
	ck_assert_uint_eq(status.sent_messages, 249);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sink");
	TCase *tcase = tcase_create("engine");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_hours_of_outage);
	tcase_add_test(tcase, test_retry_after_is_kept_and_bounded);
	tcase_add_test(tcase, test_all_refused_for_an_hour);
	tcase_add_test(tcase, test_misconfigured_each_minute);
	tcase_add_test(tcase, test_refused_ones_are_found_by_halves);
	tcase_add_test(tcase, test_interrupted_batch_is_the_same);
	tcase_add_test(tcase, test_full_batches_share_a_sync);
	tcase_add_loop_test(tcase, test_killed_between_syncs, KILLED, CURSOR_DAMAGED + 1);
	tcase_add_test(tcase, test_quarantine_of_two_spools);
	tcase_add_test(tcase, test_rate_limit);
	tcase_add_test(tcase, test_flush_interval);
	tcase_add_test(tcase, test_flush_looks_again_after_an_answer);
	tcase_add_test(tcase, test_next_batch_is_made_meanwhile);
	tcase_add_loop_test(tcase, test_what_was_made_meanwhile_is_dropped, 0, 3);
	tcase_add_test(tcase, test_ended_with_a_batch_made_meanwhile);
	tcase_add_test(tcase, test_no_room_for_a_second_batch);
	tcase_add_test(tcase, test_loss_in_a_batch_made_meanwhile);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
