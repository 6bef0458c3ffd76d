/* SPDX-License-Identifier: BSD-3-Clause */
#include "script.h"

#include <errno.h>

struct world world;
struct sink_config sink_config;

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
	world.tries[world.n_tries].at = boot_now;
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

void make_sink(void)
{
	struct sink_options options = {
		.ops = world.makes_ahead ? &fake_ahead_ops : &fake_ops,
		.context = {.config = &sink_config,
			    .clock = &test_clock,
			    .quarantine_max = 1 << 20,
			    .spool_max_size = world.spool_max_size},
		.upload_fd = upload_fd,
		.spool_fd = &spool_fd,
		.host = &test_host,
	};

	ck_assert_int_eq(sink_new(&options, &world.sink), 0);
}

void setup_world(void)
{
	make_directory();
	boot_now = 1000 * SECOND;
	next_run = -1;
	world = (struct world){.batch_max = 100};
	sink_config = (struct sink_config){.name = (char *)"fake"};
}

void teardown_world(void)
{
	sink_free(world.sink);
	remove_directory();
}

void run_until(int64_t end)
{
	next_run = next_run == 0 ? 0 : boot_now;
	while (next_run >= 0 && next_run <= end) {
		boot_now = next_run > boot_now ? next_run : boot_now;
		next_run = -1;
		sink_run(world.sink);
	}
	boot_now = end;
}

struct answer say(enum verdict verdict, int64_t retry_after)
{
	return (struct answer){.verdict = verdict, .retry_after = retry_after, .text = "scripted"};
}

struct answer outage(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_RETRY, -1);
}

struct answer accept_all(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_DELIVERED, -1);
}

void answer_now(enum verdict verdict)
{
	struct answer answer = say(verdict, -1);

	sink_answered(world.sink, &answer, 1000);
	run_until(boot_now);
}

void check_try(size_t i, uint64_t first, uint64_t last)
{
	ck_assert_uint_eq(world.n_tries, i + 1);
	ck_assert_uint_eq(world.tries[i].first, first);
	ck_assert_uint_eq(world.tries[i].last, last);
}
