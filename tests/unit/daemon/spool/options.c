/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's copy of its settings stands alone, with the defaults filled in. */

#include "daemon/spool/options.h"

#include "common/time_text.h"
#include "tests/unit/common/spool/support.h"

#include <string.h>

START_TEST(a_copy_outlives_its_source)
{
	char directory[] = "/spool", upload[] = "/upload", machine[] = "/machine", boot[] = "/boot";
	char first[] = "first", second[] = "the second", empty[] = "";
	char *sinks[] = {first, second, empty, NULL};
	struct spool_writer_options options = {
		.directory = directory,
		.max_size = 1 << 30,
		.retain = 7,
		.upload_directory = upload,
		.sinks = sinks,
		.memory_max = 11,
		.file_mode = 0640,
		.sync_bytes = 12,
		.retry_interval = 13,
		.machine_id_file = machine,
		.boot_id_file = boot,
	};
	struct spool_writer_options *copy;

	ck_assert_int_eq(spool_options_copy(&options, &copy), 0);
	memset(directory, 'x', strlen(directory));
	memset(upload, 'x', strlen(upload));
	memset(machine, 'x', strlen(machine));
	memset(boot, 'x', strlen(boot));
	memset(first, 'x', strlen(first));
	memset(second, 'x', strlen(second));
	sinks[0] = NULL;
	options = (struct spool_writer_options){};
	ck_assert_str_eq(copy->directory, "/spool");
	ck_assert_str_eq(copy->upload_directory, "/upload");
	ck_assert_str_eq(copy->machine_id_file, "/machine");
	ck_assert_str_eq(copy->boot_id_file, "/boot");
	ck_assert_str_eq(copy->sinks[0], "first");
	ck_assert_str_eq(copy->sinks[1], "the second");
	ck_assert_str_eq(copy->sinks[2], "");
	ck_assert_ptr_null(copy->sinks[3]);
	ck_assert_uint_eq(copy->max_size, 1 << 30);
	ck_assert_int_eq(copy->retain, 7);
	ck_assert_uint_eq(copy->memory_max, 11);
	ck_assert_uint_eq(copy->file_mode, 0640);
	ck_assert_uint_eq(copy->sync_bytes, 12);
	ck_assert_int_eq(copy->retry_interval, 13);
	free(copy);
}
END_TEST

START_TEST(zeros_are_the_defaults)
{
	struct spool_writer_options *copy;

	ck_assert_int_eq(spool_options_copy(&(struct spool_writer_options){.directory = "/spool"}, &copy), 0);
	ck_assert_str_eq(copy->directory, "/spool");
	ck_assert_ptr_null(copy->upload_directory);
	ck_assert_ptr_null(copy->machine_id_file);
	ck_assert_ptr_null(copy->sinks[0]);
	ck_assert_uint_eq(copy->memory_max, 16 << 20);
	ck_assert_uint_eq(copy->sync_bytes, 4 << 20);
	ck_assert_int_eq(copy->retry_interval, NSEC_PER_SEC);
	ck_assert_uint_eq(copy->file_mode, 0600);
	free(copy);
}
END_TEST

START_TEST(what_the_cap_leaves)
{
	static const struct {
		uint64_t max_size, reserve, usable;
	} cases[] = {
		/* A small cap leaves half, whatever the reserve would be. */
		{0, 16 << 10, 0},
		{32 << 10, 16 << 10, 16 << 10},
		{64 << 10, 16 << 10, 32 << 10},
		{8 << 20, 128 << 10, (8 << 20) - (256 << 10)},
		{UINT64_C(1) << 40, 2 << 20, (UINT64_C(1) << 40) - (4 << 20)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct spool_writer_options options = {.max_size = cases[i].max_size};

		ck_assert_uint_eq(spool_options_reserve(&options), cases[i].reserve);
		ck_assert_uint_eq(spool_options_usable(&options), cases[i].usable);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_copy_outlives_its_source,
		zeros_are_the_defaults,
		what_the_cap_leaves,
	};

	return spool_test_run("spool options", tests, ARRAY_SIZE(tests));
}
