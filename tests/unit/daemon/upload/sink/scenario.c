/* SPDX-License-Identifier: BSD-3-Clause */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scenario scenario;

/* Within calls of the engine: the library of the tests must not be failed. */
static void require(bool ok)
{
	if (ok)
		return;
	fault.armed = false;
	ck_abort();
}

static const struct sink_context *context_of;

static int fake_new(const struct sink_context *context, void **ret_state)
{
	context_of = context;
	scenario.made = scenario.sent = 0;
	*ret_state = &scenario;
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
	scenario.batches[scenario.made].n = 0;
	scenario.batches[scenario.made].lost = 0;
}

static int fake_add(void *state, const struct batch_item *item)
{
	unsigned long long lost;

	(void)state;
	if (item->index >= 7)
		return -E2BIG;
	if (item->message->sequence == UNSENDABLE)
		return -EBADMSG;
	if (item->loss) {
		const char *text = memmem(item->loss, item->loss_length, "netlogd: lost ", 14);

		require(text != NULL);
		require(sscanf(text, "netlogd: lost %llu", &lost) == 1);
		scenario.batches[scenario.made].lost = lost;
	}
	require(item->index == scenario.batches[scenario.made].n);
	scenario.batches[scenario.made].sequences[scenario.batches[scenario.made].n++] =
		item->message->sequence;
	return 0;
}

bool is_refused(uint64_t sequence)
{
	return sequence == 3 || sequence == 20 || sequence == 21 || sequence == 41;
}

static struct answer judge(void)
{
	struct answer answer = {.verdict = VERDICT_DELIVERED, .retry_after = -1, .text = "scripted"};

	for (size_t i = 0; i < scenario.batches[scenario.sent].n; i++)
		if (is_refused(scenario.batches[scenario.sent].sequences[i]))
			answer.verdict = VERDICT_REFUSED;
	/* An outage now and then. */
	if (answer.verdict == VERDICT_DELIVERED && ++scenario.tries % 5 == 0)
		answer.verdict = VERDICT_RETRY;
	if (answer.verdict != VERDICT_DELIVERED)
		return answer;
	scenario.lost += scenario.batches[scenario.sent].lost;
	for (size_t i = 0; i < scenario.batches[scenario.sent].n; i++) {
		uint64_t sequence = scenario.batches[scenario.sent].sequences[i];

		ck_assert_uint_le(sequence, MESSAGES);
		/* In order, except what comes again, or late because it was skipped. */
		ck_assert(scenario.accepted[sequence] || sequence > scenario.highest || scenario.leaves_out);
		scenario.accepted[sequence] = true;
		scenario.highest = MAX(scenario.highest, sequence);
	}
	return answer;
}

static void fake_send(void *state, const struct batch_bounds *bounds)
{
	(void)state;
	scenario.sent = scenario.made;
	require(bounds->messages == scenario.batches[scenario.sent].n);
	require(bounds->first == scenario.batches[scenario.sent].sequences[0]);
	require(bounds->last == scenario.batches[scenario.sent].sequences[bounds->messages - 1]);
	scenario.answers_pending = true;
}

static bool fake_ahead(void *state)
{
	(void)state;
	scenario.made = !scenario.sent;
	scenario.batches[scenario.made].n = 0;
	return true;
}

static void fake_back(void *state)
{
	(void)state;
	scenario.made = scenario.sent;
}

static const struct sink_ops fake_ops = {
	.name = "fake",
	.new = fake_new,
	.free = fake_free,
	.begin = fake_begin,
	.add = fake_add,
	.send = fake_send,
	.ahead = fake_ahead,
	.back = fake_back,
};

static struct sink_config sink_config = {.name = (char *)"fake"};

int make_sink(void)
{
	struct sink_options options = {
		.ops = &fake_ops,
		.context = {.config = &sink_config, .clock = &test_clock, .quarantine_max = 1 << 20},
		.upload_fd = upload_fd,
		.spool_fd = &spool_fd,
		.host = &test_host,
	};

	return sink_new(&options, &scenario.sink);
}

void run_for(int64_t duration)
{
	int64_t end = boot_now + duration;
	struct sink_status status;

	if (scenario.sink)
		next_run = boot_now;
	while (boot_now <= end) {
		fault.armed = true;
		/* As the uploader does with a sink that could not be started. */
		if (!scenario.sink && make_sink() == 0)
			next_run = boot_now;
		if (!scenario.sink) {
			fault.armed = false;
			boot_now += SECOND;
			continue;
		}
		if (scenario.answers_pending) {
			struct answer answer;

			/* What is built ahead is built first. */
			sink_run(scenario.sink);
			fault.armed = false;
			scenario.answers_pending = false;
			answer = judge();
			fault.armed = true;
			sink_answered(context_of->sink, &answer, 1000);
		} else if (next_run < 0 || next_run > end) {
			fault.armed = false;
			break;
		} else {
			boot_now = MAX(boot_now, next_run);
			next_run = -1;
			sink_run(scenario.sink);
		}
		fault.armed = false;
		if (fault.skip == 0 || fault.skip_always)
			continue;
		sink_get_status(scenario.sink, &status);
		if (status.cursor_violations > 0)
			fault.skip = 0;
	}
	boot_now = end;
}

void end_sink(void)
{
	fault.armed = true;
	sink_free(scenario.sink);
	fault.armed = false;
	scenario.sink = NULL;
	scenario.answers_pending = false;
}

bool is_quarantined(uint64_t sequence)
{
	char name[32];
	int fd = openat(upload_fd, "fake/quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;

	if (!entries)
		return false;
	/* Behind it stands the spool's ID. */
	snprintf(name, sizeof(name), "%016llx-", (unsigned long long)sequence);
	for (struct dirent *entry; (entry = readdir(entries));)
		found |= strncmp(entry->d_name, name, strlen(name)) == 0;
	closedir(entries);
	return found;
}

void forbid_quarantine(void)
{
	int fd;

	ck_assert_int_eq(mkdirat(upload_fd, "fake", 0700), 0);
	fd = openat(upload_fd, "fake/quarantine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

void setup_scenario(void)
{
	memset(&fault, 0, sizeof(fault));
	memset(&scenario, 0, sizeof(scenario));
	make_directory();
	boot_now = 1000 * SECOND;
	fill_padded(12);
	fill_padded(14);
	damage_message(DAMAGED);
}

void teardown_scenario(void)
{
	sink_free(scenario.sink);
	scenario.sink = NULL;
	remove_directory();
}
