/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl spool: export, check, repair. */

#include "control/commands/commands.h"

#include "daemon/spool/writer.h"
#include "tests/unit/control/sample_spool.h"

#include <dirent.h>
#include <fcntl.h>

START_TEST(test_export)
{
	static const struct {
		const char *line;
		unsigned int messages; /* bits */
	} cases[] = {
		{"spool export", 0xf},
		{"spool export --since 2026-11-22T20:00:10Z", 0xe},
		{"spool export --until 2026-11-22T20:00:10Z", 0x3},
	};
	struct sample_spool place = sample_spool_make();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_lines(&place, cases[i].line, cases[i].messages);
	sample_spool_remove(&place);
}
END_TEST

/* Flips bits in the middle of the only segment. */
static void damage(const struct sample_spool *place)
{
	DIR *directory = opendir(place->spool);
	struct dirent *entry;
	char byte;
	int fd = -1;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		if (strstr(entry->d_name, ".seg"))
			fd = openat(dirfd(directory), entry->d_name, O_RDWR | O_CLOEXEC);
	closedir(directory);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, 750), 1);
	byte ^= 0x55;
	ck_assert_int_eq(pwrite(fd, &byte, 1, 750), 1);
	safe_close(fd);
}

START_TEST(test_check_and_repair)
{
	struct sample_spool place = sample_spool_make();
	struct run sound = sample_spool_run(&place, "spool check"), damaged, json, repaired, after, flows;

	damage(&place);
	damaged = sample_spool_run(&place, "spool check");
	json = sample_spool_run(&place, "spool check --json");
	repaired = sample_spool_run(&place, "spool repair");
	after = sample_spool_run(&place, "spool check");
	flows = sample_spool_run(&place, "flows --by class");
	sample_spool_remove(&place);

	ck_assert_int_eq(sound.status, CTL_OK);
	assert_contains(sound.out, ": 4 messages (");
	assert_contains(sound.out,
			"from 2026-11-22T20:00:05Z to 2026-11-22T20:05:00Z\nno damage, nothing missing\n");
	ck_assert_int_eq(damaged.status, CTL_FAILED);
	assert_contains(damaged.out, "1 message (");
	assert_contains(damaged.out, "\"netlogctl spool repair\"");
	ck_assert_int_eq(json.status, CTL_FAILED);
	assert_contains(json.out, "\"sound\":false");
	assert_contains(json.out, "\"missingMessages\":1");
	ck_assert_int_eq(repaired.status, CTL_OK);
	assert_contains(repaired.out, "repaired; the damaged parts are kept in damaged/\n");
	/* What is lost stays lost, and is reported. */
	ck_assert_int_eq(after.status, CTL_FAILED);
	assert_contains(after.out, ": 3 messages (");
	ck_assert_ptr_null(strstr(after.out, "damaged parts"));
	assert_contains(flows.err, "1 message is missing here");
	assert_contains(flows.out, "virtual   all        1000 B     500 B       10        5\n");
	run_deinit(&sound);
	run_deinit(&damaged);
	run_deinit(&json);
	run_deinit(&repaired);
	run_deinit(&after);
	run_deinit(&flows);
}
END_TEST

/* A spool whose first messages are gone says so: to a check, and to who asks for the time before. */
START_TEST(test_removed_by_the_cap)
{
	struct sample_spool place = sample_spool_make();
	struct spool_writer_options options = {
		.directory = place.spool, .max_size = 1 << 20, .file_mode = 0600};
	_cleanup_free_ char *text = malloc(200001);
	struct run check, json, flows, later;
	struct spool_writer *writer;

	ck_assert_int_eq(spool_writer_new(&options, NULL, NULL, &writer, NULL), 0);
	memset(text, ' ', 200000);
	memcpy(text, "{\"text\":\"", 9);
	memcpy(text + 199998, "\"}", 2);
	for (int64_t i = 0; i < 8; i++)
		ck_assert_int_eq(spool_writer_append(writer, text, 200000,
						     INT64_C(1800000000000000000) + i * 1000000000),
				 0);
	ck_assert_int_eq(spool_writer_sync(writer, 10000), 0);
	spool_writer_free(writer);
	check = sample_spool_run(&place, "spool check");
	json = sample_spool_run(&place, "spool check --json");
	flows = sample_spool_run(&place, "flows");
	later = sample_spool_run(&place, "flows --since 2027-01-15T08:00:30Z");
	sample_spool_remove(&place);

	ck_assert_int_eq(check.status, CTL_OK);
	assert_contains(check.out, " earlier messages (");
	assert_contains(check.out, "are no longer in it: removed after \"retain\", or for \"max-size\"\n");
	assert_contains(json.out, "\"removedMessages\":7,");
	assert_contains(flows.err, "the spool reaches back to 2027-01-15T08:00:03Z: 7 earlier messages (");
	ck_assert_ptr_null(strstr(later.err, "reaches back"));
	run_deinit(&check);
	run_deinit(&json);
	run_deinit(&flows);
	run_deinit(&later);
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"spool export --since x",
		"spool check a b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_msg(run.status == CTL_USAGE, "%s: %d", lines[i], run.status);
		ck_assert_str_eq(run.out, "");
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_export,
		test_check_and_repair,
		test_removed_by_the_cap,
		test_usage,
	};

	return run_suite("spool", tests, ARRAY_SIZE(tests));
}
