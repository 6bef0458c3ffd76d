/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A spool and a sink on a disk that loses its cache (torn_disk.h). A run of some hundred operations is
 * recorded: messages, syncs, deliveries, refusals, outages, syncs that fail, segments that are removed. At
 * each of its moments the power is cut; from each state of the disk that can follow, the spool is recovered,
 * more is appended, and the sink delivers all that is there. Then: nothing that was synced is missing, what
 * is told as lost is lost, no sequence of a spool was sent with two contents, and nothing damaged was sent.
 * States follow from states, too: the power is cut again in a run that began after a cut.
 *
 * NETLOGD_TEST_STATES: how many states each test looks at.
 */

#include "common/clock.h"
#include "common/log.h"
#include "daemon/spool/writer.h"
#include "daemon/upload/sink/sink.h"
#include "support.h"
#include "torn_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBERS_MAX  2000
#define MESSAGE_MAX  70000
#define BATCH_MAX    8
#define REFUSED_EACH 23 /* every so many-th message is refused */
#define STATES	     400

/* What a collector was sent. */
struct sent {
	size_t at; /* moment of the recording */
	char spool_id[33];
	uint64_t sequence, last; /* of a batch: its bounds */
	uint64_t content;	 /* a message's number; of a batch: a hash */
	bool accepted;
};

struct sent_list {
	struct sent *items;
	size_t n;
};

/* What is known at a moment. */
struct fact {
	size_t at;
	uint64_t appended, synced;
};

/* All that outlives a power cut. */
struct outside {
	struct sent_list messages, batches;
	uint64_t appended;	  /* the last number */
	bool synced[NUMBERS_MAX]; /* by number */
};

struct plan {
	uint64_t seed;
	size_t steps;
	uint64_t segment_size, max_size;
	bool large;  /* messages that need almost all of the cap */
	bool faults; /* syncs fail now and then */
};

enum fault {
	FAULT_LOST,
	FAULT_FALSELY_TOLD,
	FAULT_OTHER_MESSAGE,
	FAULT_OTHER_BATCH,
	FAULT_DAMAGED,
	FAULT_SKIPPED,
	FAULT_NOT_OPENED,
	N_FAULTS,
};

static const char *const fault_names[N_FAULTS] = {
	[FAULT_LOST] = "synced, and neither delivered nor told as lost",
	[FAULT_FALSELY_TOLD] = "told as lost, and is not",
	[FAULT_OTHER_MESSAGE] = "one sequence, two messages",
	[FAULT_OTHER_BATCH] = "one batch's bounds, two contents",
	[FAULT_DAMAGED] = "sent damaged",
	[FAULT_SKIPPED] = "about to be skipped",
	[FAULT_NOT_OPENED] = "the spool or the sink does not open",
};

static struct {
	struct spool_writer *writer;
	struct sink *sink;
	char root[320], boot_id[320];
	unsigned int boots;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t stored;

	struct outside outside;
	bool recording;
	struct fact *facts;
	size_t n_facts;
	uint64_t random;
	const struct plan *plan;

	/* The batch that the sink makes. */
	struct sent batch[BATCH_MAX];
	size_t n_batch;
	bool unanswered; /* it was sent */
	bool reliable;	 /* the server always answers */
	unsigned int cursor_syncs;

	uint64_t faults[N_FAULTS];
	uint64_t states;
	const char *where; /* for reports */
} run = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static uint64_t draw(uint64_t below)
{
	run.random = run.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (run.random >> 33) % below;
}

static void fault(enum fault kind, uint64_t detail)
{
	if (run.faults[kind]++ < 3)
		printf("%s: %s (%llu)\n", run.where, fault_names[kind], (unsigned long long)detail);
}

/* ---- messages ---- */

static size_t make_text(uint64_t number, char *text)
{
	size_t length = 40 + number * 7919 % 900;

	if (run.plan->large && number % 40 == 39)
		length = 66000;
	memset(text, 'a' + (int)(number % 26), length);
	text[snprintf(text, length, "{\"number\":%llu,\"x\":\"", (unsigned long long)number)] = '-';
	memcpy(text + length - 2, "\"}", 2);
	return length;
}

/* 0 when it is not as it was made. */
static uint64_t number_of(const char *data, size_t length)
{
	static char text[MESSAGE_MAX];
	unsigned long long number = 0;

	if (length < 32 || sscanf(data, "{\"number\":%llu,", &number) != 1 || number >= NUMBERS_MAX ||
	    make_text(number, text) != length || memcmp(text, data, length) != 0)
		return 0;
	return number;
}

/* ---- the collector ---- */

static void add_sent(struct sent_list *list, const struct sent *sent)
{
	if (list->n == 0 || (list->n & (list->n - 1)) == 0)
		list->items = realloc(list->items, (list->n ? 2 * list->n : 1) * sizeof(*list->items));
	ck_assert_ptr_nonnull(list->items);
	list->items[list->n++] = *sent;
}

/* Adds it, unless the same was sent before; another content is a fault. */
static void take(struct sent_list *list, const struct sent *sent, enum fault kind)
{
	for (size_t i = list->n; i > 0; i--) {
		struct sent *other = &list->items[i - 1];

		if (other->sequence != sent->sequence || other->last != sent->last ||
		    strcmp(other->spool_id, sent->spool_id) != 0)
			continue;
		if (other->content != sent->content)
			fault(kind, sent->sequence);
		else if (sent->accepted && !other->accepted)
			continue;
		else
			return;
	}
	add_sent(list, sent);
}

static void record_batch(bool accepted)
{
	struct sent whole = run.batch[0];

	whole.at = torn_disk_now();
	whole.content = 0;
	for (size_t i = 0; i < run.n_batch; i++) {
		run.batch[i].at = whole.at;
		run.batch[i].accepted = accepted;
		take(&run.outside.messages, &run.batch[i], FAULT_OTHER_MESSAGE);
		whole.content = whole.content * 31 + run.batch[i].content;
		whole.last = run.batch[i].sequence;
	}
	take(&run.outside.batches, &whole, FAULT_OTHER_BATCH);
}

static int kind_new(const struct sink_context *context, void **ret_state)
{
	(void)context;
	*ret_state = &run;
	return 0;
}

static void kind_free(void *state)
{
	(void)state;
}

static void kind_begin(void *state, const struct batch_bounds *bounds)
{
	(void)state;
	(void)bounds;
	run.n_batch = 0;
}

static int kind_add(void *state, const struct batch_item *item)
{
	struct sent *sent = &run.batch[run.n_batch];

	(void)state;
	if (run.n_batch == BATCH_MAX)
		return -E2BIG;
	run.n_batch++;
	*sent = (struct sent){
		.sequence = item->message->sequence,
		.content = number_of(item->message->data, item->message->length),
	};
	spool_id_format(&item->message->position.spool_id, sent->spool_id);
	if (sent->content == 0)
		fault(FAULT_DAMAGED, sent->sequence);
	return 0;
}

static void answer(enum verdict verdict)
{
	const struct answer words = {.verdict = verdict, .retry_after = -1, .text = "scripted"};

	run.unanswered = false;
	if (verdict == VERDICT_DELIVERED)
		record_batch(true);
	sink_answered(run.sink, &words, 100);
}

static void kind_send(void *state, const struct batch_bounds *bounds)
{
	(void)state;
	(void)bounds;
	record_batch(false);
	run.unanswered = true;
	for (size_t i = 0; i < run.n_batch; i++)
		if (run.batch[i].content % REFUSED_EACH == 0) {
			answer(VERDICT_REFUSED);
			return;
		}
	if (run.reliable || draw(10) < 6)
		answer(VERDICT_DELIVERED);
	else if (draw(2) == 0)
		answer(VERDICT_RETRY);
}

static const struct sink_ops kind_ops = {
	.name = "scripted",
	.new = kind_new,
	.free = kind_free,
	.begin = kind_begin,
	.add = kind_add,
	.send = kind_send,
};

/* ---- spool and sink ---- */

static void on_stored(uint64_t sequence, void *userdata)
{
	(void)userdata;
	pthread_mutex_lock(&run.lock);
	run.stored = sequence;
	pthread_cond_broadcast(&run.changed);
	pthread_mutex_unlock(&run.lock);
}

/* A new boot: what was not synced may be gone. */
static void boot(void)
{
	FILE *file = fopen(run.boot_id, "we");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "00000000-0000-0000-0000-%012x\n", ++run.boots);
	fclose(file);
}

static bool open_writer(void)
{
	static const struct spool_writer_ops ops = {.stored = on_stored};
	static char sink[] = "s";
	static char *const sinks[] = {sink, NULL};
	char spool[400], upload[400];
	struct spool_writer_options options = {
		.directory = spool,
		.max_size = run.plan->max_size,
		.sync = SPOOL_SYNC_INTERVAL,
		.sync_interval = 3600 * SECOND,
		.upload_directory = upload,
		.sinks = sinks,
		.file_mode = 0600,
		.segment_size = run.plan->segment_size,
		.retry_interval = SECOND / 1000,
		.boot_id_file = run.boot_id,
	};
	char machine[320];

	snprintf(machine, sizeof(machine), "%s/machine-id", directory);
	options.machine_id_file = machine;
	snprintf(spool, sizeof(spool), "%s/spool", run.root);
	snprintf(upload, sizeof(upload), "%s/upload", run.root);
	run.stored = 0;
	if (spool_writer_new(&options, &ops, NULL, &run.writer, NULL) < 0)
		return false;
	spool_fd = open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return spool_fd >= 0;
}

static bool open_sink(void)
{
	static struct sink_config config = {.name = (char *)"s"};
	struct sink_options options = {
		.ops = &kind_ops,
		.context = {.config = &config, .clock = &test_clock, .quarantine_max = 1 << 20},
		.spool_fd = &spool_fd,
		.host = &test_host,
	};
	char upload[400];

	snprintf(upload, sizeof(upload), "%s/upload", run.root);
	options.upload_fd = upload_fd = open(upload, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run.n_batch = 0;
	run.unanswered = false;
	return upload_fd >= 0 && sink_new(&options, &run.sink) == 0;
}

static void close_all(void)
{
	sink_free(run.sink);
	run.sink = NULL;
	spool_writer_free(run.writer);
	run.writer = NULL;
	close(spool_fd);
	close(upload_fd);
	spool_fd = upload_fd = -1;
}

static void note(bool synced)
{
	if (!run.recording)
		return;
	if ((run.n_facts & (run.n_facts - 1)) == 0)
		run.facts = realloc(run.facts, (run.n_facts ? 2 * run.n_facts : 1) * sizeof(*run.facts));
	ck_assert_ptr_nonnull(run.facts);
	run.facts[run.n_facts] = (struct fact){
		.at = torn_disk_now(),
		.appended = run.outside.appended,
		.synced = synced	? run.outside.appended
			  : run.n_facts ? run.facts[run.n_facts - 1].synced
					: 0,
	};
	run.n_facts++;
}

/* Appends one message, and waits until it is written. */
static void append(void)
{
	static char text[MESSAGE_MAX];
	uint64_t number = ++run.outside.appended, before;
	size_t length = make_text(number, text);

	ck_assert_uint_lt(number, NUMBERS_MAX);
	/* Before: it may be on the disk at once. */
	note(false);
	pthread_mutex_lock(&run.lock);
	before = run.stored;
	pthread_mutex_unlock(&run.lock);
	ck_assert_int_eq(spool_writer_append(run.writer, text, length, (int64_t)number * SECOND), 0);
	pthread_mutex_lock(&run.lock);
	while (run.stored == before)
		pthread_cond_wait(&run.changed, &run.lock);
	pthread_mutex_unlock(&run.lock);
}

static void sync_spool(void)
{
	if (spool_writer_sync(run.writer, 20000) == 0)
		note(true);
}

static void run_sink(int64_t time)
{
	int64_t end = boot_now + time;

	next_run = next_run == 0 ? 0 : boot_now;
	while (next_run >= 0 && next_run <= end) {
		boot_now = next_run > boot_now ? next_run : boot_now;
		next_run = -1;
		sink_run(run.sink);
	}
	boot_now = end;
}

/* The daemon looks at the cursor between its write and its sync, and removes what it may. */
static void before_cursor_sync(void)
{
	if (run.cursor_syncs++ % 3 != 0)
		return;
	spool_writer_prune(run.writer);
	append();
}

static void step(void)
{
	switch (draw(8)) {
	case 0:
	case 1:
		sync_spool();
		break;
	case 2:
	case 3:
		if (run.unanswered)
			answer(draw(3) ? VERDICT_DELIVERED : VERDICT_RETRY);
		sink_wake(run.sink);
		run_sink(SECOND * (int64_t)(1 + draw(90)));
		break;
	case 4:
		spool_writer_prune(run.writer);
		append();
		break;
	case 5:
		if (run.plan->faults && draw(4) == 0)
			torn_disk_fail_sync(1 + (unsigned int)draw(2));
		append();
		break;
	default:
		append();
	}
}

/* ---- power cuts ---- */

static void record(const char *root, const struct plan *plan)
{
	run.plan = plan;
	snprintf(run.root, sizeof(run.root), "%s", root);
	run.random = plan->seed;
	run.n_facts = 0;
	run.reliable = false;
	boot_now += 1000 * SECOND;
	next_run = -1;
	boot();
	run.recording = true;
	torn_disk_begin(root);
	torn_disk_before_sync("cursor", before_cursor_sync);
	ck_assert(open_writer() && open_sink());
	note(false);
	for (size_t i = 0; i < plan->steps; i++)
		step();
	torn_disk_before_sync(NULL, NULL);
	torn_disk_end();
	run.recording = false;
	close_all();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void keep_until(struct sent_list *list, const struct sent_list *all, size_t moment)
{
	list->n = 0;
	list->items = NULL;
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].at <= moment) {
			add_sent(list, &all->items[i]);
			list->items[list->n - 1].at = 0;
		}
}

/* What the world knew at a moment of the recording. */
static struct outside outside_at(const struct outside *all, const struct outside *base, size_t moment)
{
	struct outside outside = *base;
	uint64_t synced = 0;

	keep_until(&outside.messages, &all->messages, moment);
	keep_until(&outside.batches, &all->batches, moment);
	for (size_t i = 0; i < run.n_facts && run.facts[i].at <= moment; i++) {
		outside.appended = run.facts[i].appended;
		synced = run.facts[i].synced;
	}
	for (uint64_t number = base->appended + 1; number <= synced; number++)
		outside.synced[number] = true;
	return outside;
}

static void outside_deinit(struct outside *outside)
{
	free(outside->messages.items);
	free(outside->batches.items);
	*outside = (struct outside){};
}

static void look_into_quarantine(bool *found)
{
	static char data[MESSAGE_MAX];
	char pattern[420];
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/upload/s/quarantine/*.json", run.root);
	if (glob(pattern, 0, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		int fd = open(files.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, data, sizeof(data));

		close(fd);
		if (n > 0)
			found[number_of(data, (size_t)n - 1)] = true;
	}
	globfree(&files);
}

/* From a state of the disk, with what is known outside: goes on, and looks at what has become of it all. */
static void recover_and_check(const char *root)
{
	bool found[NUMBERS_MAX] = {}, may_lose = run.plan->max_size < (4 << 20);
	uint64_t missing = 0, unsynced = 0, before = run.outside.appended;
	struct sink_status status;

	run.states++;
	snprintf(run.root, sizeof(run.root), "%s", root);
	run.reliable = true;
	boot_now += 1000 * SECOND;
	next_run = -1;
	if (!open_writer() || !open_sink()) {
		fault(FAULT_NOT_OPENED, 0);
		close_all();
		return;
	}
	append();
	append();
	sync_spool();
	for (int i = 0; i < 6; i++) {
		sink_wake(run.sink);
		run_sink(100 * SECOND);
	}
	/* One that is accepted, so that what was refused before it is settled. */
	do
		append();
	while (run.outside.appended % REFUSED_EACH == 0);
	sync_spool();
	sink_wake(run.sink);
	run_sink(100 * SECOND);
	for (uint64_t number = before + 1; number <= run.outside.appended; number++)
		run.outside.synced[number] = true;
	sink_get_status(run.sink, &status);
	for (size_t i = 0; i < run.outside.messages.n; i++)
		if (run.outside.messages.items[i].accepted)
			found[run.outside.messages.items[i].content] = true;
	look_into_quarantine(found);
	for (uint64_t number = 1; number <= run.outside.appended; number++) {
		unsynced += !run.outside.synced[number];
		if (!found[number] && run.outside.synced[number]) {
			if (!may_lose)
				fault(FAULT_LOST, number);
			missing++;
		}
	}
	if (may_lose && missing > status.lost_messages)
		fault(FAULT_LOST, missing - status.lost_messages);
	if (!may_lose && status.lost_messages > unsynced)
		fault(FAULT_FALSELY_TOLD, status.lost_messages);
	if (status.cursor_violations > 0)
		fault(FAULT_SKIPPED, status.cursor_violations);
	close_all();
}

/* Cuts the power at a moment of the recording, and goes on. */
static void cut(const struct outside *all, const struct outside *base, size_t moment,
		const struct torn_choice *choice, bool kill)
{
	char state[320], where[160];

	snprintf(state, sizeof(state), "%s/state", directory);
	snprintf(where, sizeof(where), "seed %llu, moment %zu, choice %llu of_1000 %u%s",
		 (unsigned long long)run.plan->seed, moment, (unsigned long long)choice->seed,
		 choice->of_1000, kill ? ", killed" : "");
	run.where = where;
	torn_disk_make(moment, choice, state);
	run.outside = outside_at(all, base, moment);
	if (!kill)
		boot();
	recover_and_check(state);
	outside_deinit(&run.outside);
	remove_tree(state);
}

static uint64_t states_wanted(void)
{
	const char *text = getenv("NETLOGD_TEST_STATES");

	return text ? strtoull(text, NULL, 10) : STATES;
}

/* States of a recording: at each moment in turn, nothing, all, or some of what was not safe. */
static void cut_often(const struct outside *all, const struct outside *base, uint64_t wanted, uint64_t seed)
{
	static const unsigned int densities[] = {0, 1000, 500, 900, 100, 500, 300, 700};
	size_t moments = torn_disk_now() + 1;
	uint64_t step = moments * 8 / wanted + 1;

	for (uint64_t i = 0; i < wanted; i++) {
		uint64_t at = i * step;
		size_t moment = (at + at / moments * 3) % moments;
		const struct torn_choice choice = {
			.seed = seed + i,
			.of_1000 = densities[(i + i / 8) % ARRAY_SIZE(densities)],
		};

		cut(all, base, moment, &choice, false);
	}
	/* Killed: all that was written is there, and it is the same boot. */
	for (uint64_t i = 0; i < wanted / 20; i++)
		cut(all, base, i * 20 * moments / wanted % moments, &(struct torn_choice){.of_1000 = 1000},
		    true);
}

static void report(void)
{
	uint64_t faults = 0;

	printf("%llu states, %zu operations", (unsigned long long)run.states, torn_disk_now());
	for (size_t i = 0; i < N_FAULTS; i++) {
		if (run.faults[i] > 0)
			printf("; %llu x %s", (unsigned long long)run.faults[i], fault_names[i]);
		faults += run.faults[i];
	}
	printf("\n");
	fflush(stdout);
	ck_assert_uint_eq(faults, 0);
}

static void make_root(char *ret_root)
{
	char path[400];
	FILE *file;

	snprintf(ret_root, 320, "%s/live", directory);
	ck_assert_int_eq(mkdir(ret_root, 0700), 0);
	snprintf(path, sizeof(path), "%s/upload", ret_root);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/machine-id", directory);
	file = fopen(path, "we");
	fputs("0123456789abcdef0123456789abcdef\n", file);
	fclose(file);
	snprintf(run.boot_id, sizeof(run.boot_id), "%s/boot-id", directory);
}

static void cut_one_run(const struct plan *plan)
{
	const struct outside nothing = {};
	struct outside all;
	char root[320];

	make_root(root);
	record(root, plan);
	all = run.outside;
	run.outside = nothing;
	cut_often(&all, &nothing, states_wanted(), plan->seed * 1000003);
	report();
	outside_deinit(&all);
}

START_TEST(one_run)
{
	cut_one_run(&(struct plan){.seed = 1, .steps = 350, .segment_size = 6000, .max_size = 8 << 20});
}
END_TEST

START_TEST(syncs_fail_too)
{
	cut_one_run(&(struct plan){
		.seed = 2, .steps = 350, .segment_size = 6000, .max_size = 8 << 20, .faults = true});
}
END_TEST

/* Messages of almost the whole cap push out all that is there. */
START_TEST(a_small_spool)
{
	cut_one_run(&(struct plan){
		.seed = 3, .steps = 350, .segment_size = 6000, .max_size = 100 << 10, .large = true});
}
END_TEST

/* The power is cut twice. What one run sent, none after it may send with another content. */
START_TEST(run_after_run)
{
	static const struct plan first = {.seed = 4, .steps = 120, .segment_size = 6000, .max_size = 8 << 20};
	enum { RUNS = 15 };
	const struct outside nothing = {};
	struct outside all, base[RUNS];
	char root[320], path[RUNS][340];
	size_t moments;

	make_root(root);
	record(root, &first);
	all = run.outside;
	run.outside = nothing;
	moments = torn_disk_now() + 1;
	for (size_t i = 0; i < RUNS; i++) {
		const struct torn_choice choice = {.seed = i, .of_1000 = (unsigned int)(i % 3) * 400};

		snprintf(path[i], sizeof(path[i]), "%s/then%zu", directory, i);
		torn_disk_make((i + 1) * (moments - 1) / RUNS, &choice, path[i]);
		base[i] = outside_at(&all, &nothing, (i + 1) * (moments - 1) / RUNS);
	}
	for (size_t i = 0; i < RUNS; i++) {
		struct plan second = {
			.seed = 100 + i, .steps = 30, .segment_size = 6000, .max_size = 8 << 20};
		struct outside both;

		run.outside = base[i];
		run.where = "the run between";
		record(path[i], &second);
		both = run.outside;
		run.outside = nothing;
		cut_often(&both, &base[i], states_wanted() / RUNS, i * 1000003);
		outside_deinit(&both);
	}
	report();
	outside_deinit(&all);
}
END_TEST

static void setup(void)
{
	make_directory();
	boot_now = 1000 * SECOND;
	log_set_level(LOG_LEVEL_ERROR);
}

static void teardown(void)
{
	torn_disk_forget();
	free(run.facts);
	upload_fd = dup(0);
	remove_directory();
}

int main(void)
{
	TCase *tcase = make_case("power_cut");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 3600);
	tcase_add_test(tcase, one_run);
	tcase_add_test(tcase, syncs_fail_too);
	tcase_add_test(tcase, a_small_spool);
	tcase_add_test(tcase, run_after_run);
	return run_case(tcase);
}
