/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sink whose system calls fail, each in its turn: once, or all of its kind for a while. Whatever fails, and
 * when: every message is accepted or in quarantine in the end, but for the one that is damaged on disk, which
 * is told as lost; what is accepted for the first time comes in order; and the cursor was never about to pass
 * over anything.
 *
 * The calls are wrapped by the linker (meson.build), so that what fails is what the engine, the reader and
 * the cursor call, and the test's own calls do not count.
 */

#include "common/log.h"
#include "common/spool/format.h"
#include "common/spool/reader.h"
#include "daemon/spool/writer.h"
#include "daemon/upload/http/compressor.h"
#include "daemon/upload/sink/sink.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND	 INT64_C(1000000000)
#define MESSAGES 48
#define DAMAGED	 16
/* As long as all fails: shorter than what a sink takes for the end of a disk, or of a quarantine. */
#define A_WHILE (5 * SECOND)

/* ---- calls that fail ---- */

enum kind { OPEN, READ, LIST, WRITE, SYNC, RENAME, ALLOCATE, N_KINDS };

static struct {
	bool armed; /* calls count */
	enum kind kind;
	unsigned int at; /* the one that fails; 0: none */
	unsigned int calls;
	int error;
	bool lasting;
	bool hit;
	int64_t until;
	/* The reader leaves out this message, until that is seen or always: a fault of its own, not of a
	 * call. */
	uint64_t skip;
	bool skip_always;
} fault;

static int64_t boot_now;

/* Whether a call of this kind is to fail now; errno is set. */
static bool fails(enum kind kind)
{
	if (!fault.armed || fault.at == 0 || kind != fault.kind)
		return false;
	if (++fault.calls == fault.at) {
		fault.hit = true;
		fault.until = boot_now + A_WHILE;
	} else if (!fault.hit || !fault.lasting || boot_now >= fault.until) {
		return false;
	}
	errno = fault.error;
	return true;
}

#define WRAP(type, name, kind, failure, parameters, arguments)                                               \
	type __real_##name parameters;                                                                       \
	type __wrap_##name parameters;                                                                       \
	type __wrap_##name parameters                                                                        \
	{                                                                                                    \
		return fails(kind) ? (failure) : __real_##name arguments;                                    \
	}

WRAP(ssize_t, pread64, READ, -1, (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
WRAP(ssize_t, read, READ, -1, (int fd, void *data, size_t n), (fd, data, n))
WRAP(int, fstat64, READ, -1, (int fd, struct stat *st), (fd, st))
WRAP(DIR *, fdopendir, LIST, NULL, (int fd), (fd))
WRAP(struct dirent *, readdir64, LIST, NULL, (DIR * directory), (directory))
WRAP(ssize_t, pwrite64, WRITE, -1, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
WRAP(ssize_t, write, WRITE, -1, (int fd, const void *data, size_t n), (fd, data, n))
WRAP(int, mkdirat, WRITE, -1, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, renameat, RENAME, -1, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
WRAP(int, renameat2, RENAME, -1,
     (int from_fd, const char *from, int to_fd, const char *to, unsigned int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(void *, malloc, ALLOCATE, NULL, (size_t n), (n))
WRAP(void *, calloc, ALLOCATE, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, ALLOCATE, NULL, (void *data, size_t n), (data, n))
WRAP(void *, reallocarray, ALLOCATE, NULL, (void *data, size_t n, size_t size), (data, n, size))

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	/* To sync really would tell nothing more, and take most of the time. */
	(void)fd;
	return fails(SYNC) ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return __wrap_fsync(fd);
}

int __real_openat64(int directory_fd, const char *path, int flags, ...);
int __wrap_openat64(int directory_fd, const char *path, int flags, ...);
int __wrap_openat64(int directory_fd, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return fails(OPEN) ? -1 : __real_openat64(directory_fd, path, flags, mode);
}

int __real_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap);
int __wrap_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap);
int __wrap_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap)
{
	int r = __real_spool_reader_next(reader, ret_message, ret_gap);

	if (fault.skip == 0 || r != SPOOL_READ_MESSAGE || ret_message->sequence != fault.skip)
		return r;
	return __real_spool_reader_next(reader, ret_message, ret_gap);
}

/* ---- a server, and what it has ---- */

/* Within calls of the engine: the library of the tests must not be failed. */
static void require(bool ok)
{
	if (ok)
		return;
	fault.armed = false;
	ck_abort();
}

static char top[64]; /* holds all, also what a test that failed leaves */
static char directory[80];
static int upload_fd, spool_fd;
static uint64_t written; /* messages that are in the spool */

static struct {
	struct sink *sink;
	int64_t wake; /* -1: not at all */
	struct {
		size_t n;
		uint64_t sequences[16];
		uint64_t told; /* lost, before its first message */
	} batches[2];
	int made, sent;
	size_t tries, refusals;

	bool accepted[MESSAGES + 1];
	uint64_t highest, told;
	bool leaves_out;
} world;

static int64_t clock_now(void *userdata)
{
	(void)userdata;
	return boot_now;
}

static uint64_t no_chance(void *userdata)
{
	(void)userdata;
	return 0;
}

static const struct clock clock_ops = {.boot = clock_now, .wall = clock_now, .random = no_chance};

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
	world.made = world.sent = 0;
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
	world.batches[world.made].told = 0;
}

static int fake_add(void *state, const struct batch_item *item)
{
	unsigned long long lost;

	(void)state;
	if (item->index >= 7)
		return -E2BIG;
	/* One that this kind of sink can't send at all. */
	if (item->message->sequence == 30)
		return -EBADMSG;
	if (item->loss) {
		const char *text = memmem(item->loss, item->loss_length, "netlogd: lost ", 14);

		require(text != NULL);
		require(sscanf(text, "netlogd: lost %llu", &lost) == 1);
		world.batches[world.made].told = lost;
	}
	require(item->index == world.batches[world.made].n);
	world.batches[world.made].sequences[world.batches[world.made].n++] = item->message->sequence;
	return 0;
}

static bool is_refused(uint64_t sequence)
{
	return sequence == 3 || sequence == 20 || sequence == 21 || sequence == 41;
}

static struct answer judge(void)
{
	struct answer answer = {.verdict = VERDICT_DELIVERED, .retry_after = -1, .text = "scripted"};

	for (size_t i = 0; i < world.batches[world.sent].n; i++)
		if (is_refused(world.batches[world.sent].sequences[i]))
			answer.verdict = VERDICT_REFUSED;
	/* An outage now and then. */
	if (answer.verdict == VERDICT_DELIVERED && ++world.tries % 5 == 0)
		answer.verdict = VERDICT_RETRY;
	if (answer.verdict != VERDICT_DELIVERED)
		return answer;
	world.told += world.batches[world.sent].told;
	for (size_t i = 0; i < world.batches[world.sent].n; i++) {
		uint64_t sequence = world.batches[world.sent].sequences[i];

		ck_assert_uint_le(sequence, MESSAGES);
		/* In order, but for what comes again, or comes late because it was left out. */
		ck_assert(world.accepted[sequence] || sequence > world.highest || world.leaves_out);
		world.accepted[sequence] = true;
		world.highest = MAX(world.highest, sequence);
	}
	return answer;
}

static bool answers_pending;

static void fake_send(void *state, const struct batch_bounds *bounds)
{
	(void)state;
	world.sent = world.made;
	require(bounds->messages == world.batches[world.sent].n);
	require(bounds->first == world.batches[world.sent].sequences[0]);
	require(bounds->last == world.batches[world.sent].sequences[bounds->messages - 1]);
	answers_pending = true;
}

static bool fake_ahead(void *state)
{
	(void)state;
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
	.ahead = fake_ahead,
	.back = fake_back,
};

static struct sink_config sink_config = {.name = (char *)"fake"};

/* ---- the scenario ---- */

static void stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

/* Each time a segment of its own, in text that is compressed or not. */
static void fill(int n)
{
	static const struct spool_writer_ops ops = {.stored = stored};
	char path[96], message[1200];
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
		written++;
		snprintf(message, sizeof(message),
			 "{\"logtail\":{\"proc_id\":1,\"proc_seq\":%d},\"pad\":\"%.*d\"}", (int)written,
			 written % 3 == 0 ? 1000 : 1, 0);
		ck_assert_int_eq(spool_writer_append(writer, message, strlen(message), SECOND), 0);
	}
	ck_assert_int_eq(spool_writer_sync(writer, 10000), 0);
	spool_writer_free(writer);
}

static void damage_message(int number)
{
	char pattern[96], text[64];
	static char data[1 << 16];
	glob_t found;
	bool done = false;

	snprintf(pattern, sizeof(pattern), "%s/spool/*.seg", directory);
	snprintf(text, sizeof(text), "\"proc_seq\":%d}", number);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc && !done; i++) {
		int fd = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC);
		ssize_t n = pread(fd, data, sizeof(data), 0);
		char *at = n > 0 ? memmem(data, (size_t)n, text, strlen(text)) : NULL;

		done = at && pwrite(fd, "X", 1, at - data) == 1;
		close(fd);
	}
	globfree(&found);
	ck_assert(done);
}

static int make_sink(void)
{
	struct sink_options options = {
		.ops = &fake_ops,
		.context = {.config = &sink_config, .clock = &clock_ops, .quarantine_max = 1 << 20},
		.upload_fd = upload_fd,
		.spool_fd = &spool_fd,
		.host = &host_ops,
	};

	return sink_new(&options, &world.sink);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* Answers what was sent, and lets what is due happen, for as long as there is something. */
static void run_for(int64_t duration)
{
	int64_t end = boot_now + duration;
	struct sink_status status;

	if (world.sink)
		world.wake = boot_now;
	while (boot_now <= end) {
		fault.armed = true;
		/* As the uploader does with a sink that could not be started. */
		if (!world.sink && make_sink() == 0)
			world.wake = boot_now;
		if (!world.sink) {
			fault.armed = false;
			boot_now += SECOND;
			continue;
		}
		if (answers_pending) {
			struct answer answer;

			/* What is made ahead is made first. */
			sink_run(world.sink);
			fault.armed = false;
			answers_pending = false;
			answer = judge();
			fault.armed = true;
			sink_answered(context_of->sink, &answer, 1000);
		} else if (world.wake < 0 || world.wake > end) {
			fault.armed = false;
			break;
		} else {
			boot_now = MAX(boot_now, world.wake);
			world.wake = -1;
			sink_run(world.sink);
		}
		fault.armed = false;
		if (fault.skip == 0 || fault.skip_always)
			continue;
		sink_get_status(world.sink, &status);
		if (status.cursor_violations > 0)
			fault.skip = 0;
	}
	boot_now = end;
}

static void end_sink(void)
{
	fault.armed = true;
	sink_free(world.sink);
	fault.armed = false;
	world.sink = NULL;
	answers_pending = false;
}

static bool is_quarantined(uint64_t sequence)
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

static void setup_world(void)
{
	char path[96];

	snprintf(directory, sizeof(directory), "%s/XXXXXX", top);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/spool", directory);
	upload_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&world, 0, sizeof(world));
	boot_now = 1000 * SECOND;
	written = 0;
	fill(12);
	fill(14);
	damage_message(DAMAGED);
	spool_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(spool_fd, 0);
}

static void end_world(void)
{
	sink_free(world.sink);
	world.sink = NULL;
	close(upload_fd);
	close(spool_fd);
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The traffic of a few minutes: refusals, halves, a loss, batches made ahead, outages, a restart in between.
 */
static void play(void)
{
	run_for(2 * SECOND);
	fill(10);
	run_for(2 * SECOND);
	end_sink();
	run_for(SECOND);
	fill(MESSAGES - 36);
	run_for(300 * SECOND);
	ck_assert_ptr_nonnull(world.sink);
}

static void check_outcome(void)
{
	struct sink_status status;

	sink_get_status(world.sink, &status);
	for (uint64_t i = 1; i <= MESSAGES; i++) {
		ck_assert_msg(world.accepted[i] + is_quarantined(i) == (i != DAMAGED),
			      "message %llu: accepted %d, in quarantine %d", (unsigned long long)i,
			      world.accepted[i], is_quarantined(i));
		if (i != DAMAGED)
			ck_assert_int_eq(is_quarantined(i), is_refused(i) || i == 30);
	}
	ck_assert_uint_eq(status.delivered_sequence, MESSAGES);
	ck_assert_uint_eq(status.cursor_violations, 0);
	ck_assert_uint_eq(status.backlog_messages, 0);
	ck_assert_uint_eq(status.lost_messages, 1);
	/* More than once only when the batch that tells it is sent again. */
	ck_assert_uint_ge(world.told, 1);
	ck_assert_int_eq(status.state, SINK_STATE_IDLE);
	ck_assert_str_eq(status.last_error, "");
}

static const struct {
	enum kind kind;
	int error;
	bool lasting;
} cases[] = {
	{OPEN, EMFILE, false},	   {OPEN, EMFILE, true},     {OPEN, EIO, false},    {OPEN, EIO, true},
	{OPEN, ENOMEM, false},	   {OPEN, ENOMEM, true},     {OPEN, EACCES, false}, {OPEN, EACCES, true},
	{READ, EIO, false},	   {READ, EIO, true},	     {READ, ENOMEM, false}, {READ, ENOMEM, true},
	{LIST, EIO, false},	   {LIST, EIO, true},	     {LIST, ENOMEM, false}, {LIST, ENOMEM, true},
	{WRITE, ENOSPC, false},	   {WRITE, ENOSPC, true},    {WRITE, EIO, false},   {WRITE, EIO, true},
	{SYNC, EIO, false},	   {SYNC, EIO, true},	     {RENAME, EIO, false},  {RENAME, ENOSPC, true},
	{ALLOCATE, ENOMEM, false}, {ALLOCATE, ENOMEM, true},
};

START_TEST(test_each_call_in_its_turn)
{
	unsigned int at = 0;

	do {
		memset(&fault, 0, sizeof(fault));
		fault.kind = cases[_i].kind;
		fault.error = cases[_i].error;
		fault.lasting = cases[_i].lasting;
		fault.at = ++at;
		setup_world();
		play();
		/* The checks are not to be failed. */
		fault.at = 0;
		check_outcome();
		end_world();
	} while (fault.hit);
	/* The scenario makes some of each, or nothing was tested. */
	ck_assert_uint_gt(at, 4);
}
END_TEST

/* The engine or the reader loses its place, by a fault of their own: it is seen, and read again. */
START_TEST(test_a_message_is_about_to_be_passed_over)
{
	struct sink_status status;

	memset(&fault, 0, sizeof(fault));
	fault.skip = (uint64_t)_i;
	setup_world();
	world.leaves_out = true;
	run_for(60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.cursor_violations, 1);
	ck_assert_uint_eq(status.delivered_sequence, 26);
	ck_assert_uint_eq(status.lost_messages, 1);
	ck_assert(world.accepted[_i]);
	end_world();
}
END_TEST

/* It can't be found the second time either: then it is told as lost, in the stream and in the status. */
START_TEST(test_a_message_that_is_never_found)
{
	struct sink_status status;

	memset(&fault, 0, sizeof(fault));
	fault.skip = (uint64_t)_i;
	fault.skip_always = true;
	setup_world();
	run_for(60 * SECOND);
	fault.skip = 0;
	fill(2);
	run_for(10 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.cursor_violations, 2);
	ck_assert_uint_eq(status.delivered_sequence, 28);
	ck_assert_uint_eq(status.lost_messages, 2);
	ck_assert_uint_ge(world.told, 2);
	ck_assert(!world.accepted[_i]);
	end_world();
}
END_TEST

/* No quarantine at all: what was refused is told as lost, and does not hold up the rest for long. */
START_TEST(test_no_quarantine)
{
	struct sink_status status;
	int fd;

	memset(&fault, 0, sizeof(fault));
	setup_world();
	ck_assert_int_eq(mkdirat(upload_fd, "fake", 0700), 0);
	fd = openat(upload_fd, "fake/quarantine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	run_for(5 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_uint_eq(status.quarantined, 0);
	/* The server has what follows the refused one, but the cursor stands before it. */
	ck_assert_uint_lt(status.delivered_sequence, 3);
	/* To be sent again after a restart, with all that was not settled. */
	end_sink();
	ck_assert_int_eq(make_sink(), 0);
	run_for(60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 26);
	ck_assert_uint_eq(status.quarantined, 0);
	/* 3, 20 and 21, and the damaged one. */
	ck_assert_uint_eq(status.lost_messages, 4);
	ck_assert_uint_ge(world.told, 4);
	ck_assert_uint_eq(status.cursor_violations, 0);
	end_world();
}
END_TEST

/* The last message of all is lost for the quarantine: it is told with the next one, also by another run. */
START_TEST(test_a_loss_that_is_owed_outlives_the_run)
{
	struct sink_status status;
	int fd;

	memset(&fault, 0, sizeof(fault));
	setup_world();
	fill(4);
	ck_assert_int_eq(mkdirat(upload_fd, "fake", 0700), 0);
	fd = openat(upload_fd, "fake/quarantine", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	run_for(100 * SECOND);
	sink_get_status(world.sink, &status);
	/* 30 is one that can't be sent: no answer is needed for the cursor to pass it. */
	ck_assert_uint_eq(status.delivered_sequence, 30);
	ck_assert_uint_eq(status.lost_messages, 5);
	ck_assert_uint_eq(world.told, 4);
	end_sink();
	ck_assert_int_eq(make_sink(), 0);
	fill(2);
	run_for(10 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 32);
	ck_assert_uint_eq(status.lost_messages, 5);
	ck_assert_uint_eq(world.told, 5);
	end_world();
}
END_TEST

/* A body in another form: when there is no memory for it, what there was is still whole for the next try. */
START_TEST(test_a_body_is_converted_whole_or_not)
{
	static char rows[400000];
	unsigned int at = 0;

	for (size_t i = 0; i < sizeof(rows); i++)
		rows[i] = i % 40 == 39 ? '\n' : (char)('a' + (i * i / 7) % 26);
	memset(&fault, 0, sizeof(fault));
	fault.kind = ALLOCATE;
	fault.error = ENOMEM;
	do {
		struct compressor *compressor;
		int r;

		ck_assert_int_eq(compressor_new(&compressor), 0);
		compressor_begin(compressor, COMPRESSED_ZSTD);
		ck_assert_int_eq(compressor_add(compressor, rows, sizeof(rows)), 0);
		ck_assert_int_eq(compressor_finish(compressor), 0);
		fault.at = ++at;
		fault.calls = 0;
		fault.hit = false;
		fault.armed = true;
		r = compressor_convert(compressor, COMPRESSED_NONE);
		fault.armed = false;
		ck_assert_int_eq(r, fault.hit ? -ENOMEM : 0);
		ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_NONE), 0);
		ck_assert_uint_eq(compressor_body(compressor)->length, sizeof(rows));
		ck_assert_int_eq(memcmp(compressor_body(compressor)->data, rows, sizeof(rows)), 0);
		compressor_free(compressor);
	} while (fault.hit);
	ck_assert_uint_gt(at, 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *tcase = tcase_create("sink");
	SRunner *runner;
	int failed;

	strcpy(top, "/tmp/netlogd-faults-XXXXXX");
	if (!mkdtemp(top))
		return 1;
	/* They say the same thousands of times. */
	log_set_level(LOG_LEVEL_ERROR);
	tcase_set_timeout(tcase, 240);
	tcase_add_loop_test(tcase, test_each_call_in_its_turn, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(tcase, test_a_message_is_about_to_be_passed_over, 5, 15);
	tcase_add_loop_test(tcase, test_a_message_that_is_never_found, 5, 15);
	tcase_add_test(tcase, test_no_quarantine);
	tcase_add_test(tcase, test_a_loss_that_is_owed_outlives_the_run);
	tcase_add_test(tcase, test_a_body_is_converted_whole_or_not);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return failed > 0;
}
