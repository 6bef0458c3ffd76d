/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits of control groups, of both versions, at any level above the process; what fits into them; and what
 * the documents say of it. */

#include "daemon/memory_limit.h"

#include "common/config/config.h"
#include "tests/unit/common/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void put(const char *name, const char *text)
{
	char *path = path_in(name);

	make_file(path, text, 0600);
	free(path);
}

static void directory(const char *name)
{
	char *path = path_in(name);

	ck_assert_int_eq(mkdir(path, 0700), 0);
	free(path);
}

static uint64_t limit(const char *groups)
{
	char *file = path_in("groups");
	uint64_t found;

	put("groups", groups);
	found = memory_limit(file, test_directory());
	free(file);
	return found;
}

START_TEST(limits)
{
	directory("a");
	directory("a/b");
	directory("memory");
	directory("memory/c");
	put("a/b/memory.max", "max\n");
	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert_uint_eq(limit("0::/a/b\n"), UINT64_MAX);
	ck_assert_uint_eq(limit("4:memory:/c\n"), UINT64_MAX);
	put("a/memory.max", "50000000\n");
	ck_assert_uint_eq(limit("0::/a/b\n"), 50000000);
	put("a/b/memory.max", "33554432\n");
	ck_assert_uint_eq(limit("0::/a/b\n"), 33554432);
	put("memory/c/memory.limit_in_bytes", "40000000\n");
	ck_assert_uint_eq(limit("1:cpu:/x\n5:hugetlb,memory:/c\n0::/none\n"), 40000000);
	/* Nothing that can be read is no limit. */
	ck_assert_uint_eq(limit(""), UINT64_MAX);
	ck_assert_uint_eq(limit("0::\n:\nmemory\n"), UINT64_MAX);
	put("a/b/memory.max", "-5\n");
	ck_assert_uint_eq(limit("0::/a/b\n"), 50000000);
	put("a/b/memory.max", "99999999999999999999\n");
	ck_assert_uint_eq(limit("0::/a/b\n"), 50000000);
	ck_assert_uint_eq(memory_limit("/nowhere", "/nowhere"), UINT64_MAX);
}
END_TEST

START_TEST(flows)
{
	struct config config = {.tun.source = SOURCE_EBPF};
	const uint64_t mib = 1 << 20, maps = memory_of_maps(&config);

	config.details = true;
	ck_assert_uint_gt(memory_of_maps(&config), maps);
	config.tun.source = SOURCE_PACKET;
	ck_assert_uint_eq(memory_of_maps(&config), 0);
	ck_assert_uint_eq(memory_flows(UINT64_MAX, 65536, maps, 8 * mib), 65536);
	ck_assert_uint_eq(memory_flows(118 * mib, 65536, maps, 0), 65536);
	for (uint64_t limit_mib = 13; limit_mib <= 160; limit_mib++) {
		uint32_t n = memory_flows(limit_mib * mib, 65536, maps, 0);

		ck_assert_uint_ge(n, 1024);
		ck_assert_uint_le(memory_needed(n, maps, 0), limit_mib * mib);
		ck_assert(n == 65536 || memory_needed(n + 1, maps, 0) > limit_mib * mib);
	}
	/* Not even a few; but what was asked for may be fewer. */
	ck_assert_uint_eq(memory_flows(10 * mib + 1000, 65536, maps, 0), 0);
	ck_assert_uint_eq(memory_flows(10 * mib, 65536, maps, 0), 0);
	ck_assert_uint_eq(memory_flows(10 * mib + 18000, 10, maps, 0), 10);
}
END_TEST

/* What was measured: 17 MiB for ClickHouse's usual batch with zstd, 29 MiB without compression. */
START_TEST(uploader)
{
	struct sink_config sinks[] = {{.max_batch_size = 256 << 10}, {.max_batch_size = 16 << 20}};
	struct config config = {.sinks = sinks, .n_sinks = 1};
	const uint64_t mib = 1 << 20;

	ck_assert_uint_le(memory_of_uploader(&config), 9 * mib);
	config.n_sinks = 2;
	ck_assert_uint_ge(memory_of_uploader(&config), 29 * mib);
	ck_assert_uint_eq(memory_flows(64 * mib, 65536, 768, 0),
			  memory_flows(96 * mib, 65536, 768, 32 * mib));
}
END_TEST

static char *read_source(const char *name)
{
	char *text = calloc(1, 1 << 17), path[512];
	FILE *file;

	snprintf(path, sizeof(path), SOURCES "/%s", name);
	file = fopen(path, "re");
	ck_assert_msg(text && file, "%s", path);
	ck_assert_uint_gt(fread(text, 1, (1 << 17) - 1, file), 0);
	ck_assert(feof(file));
	fclose(file);
	return text;
}

static uint64_t mib_of(uint64_t bytes)
{
	return (bytes + (1 << 20) - 1) >> 20;
}

/* A number with commas; *text is then behind the cell. */
static uint64_t read_cell(char **text)
{
	uint64_t n = 0;

	ck_assert_ptr_nonnull(*text = strchr(*text, '|'));
	for (++*text; **text == ' '; ++*text)
		;
	for (; strchr("0123456789,", **text); ++*text)
		n = **text == ',' ? n : n * 10 + (uint64_t)(**text - '0');
	return n;
}

/* README's table and the manual say what the daemon reckons with. */
START_TEST(documents)
{
	struct config config = {.tun.source = SOURCE_EBPF};
	const uint64_t maps = memory_of_maps(&config);
	char *readme = read_source("README.md"), *manual = read_source("packaging/man/netlogd.conf.5");
	char *row = strstr(readme, "| `max-flows` |"), said[128];
	uint64_t with_details;
	unsigned int rows = 0;

	config.details = true;
	with_details = memory_of_maps(&config);
	ck_assert_ptr_nonnull(row);
	row = strchr(strchr(row, '\n') + 1, '\n') + 1;
	for (; *row == '|'; row = strchr(row, '\n') + 1, rows++) {
		uint32_t n = (uint32_t)read_cell(&row);

		ck_assert_uint_eq(read_cell(&row), mib_of(n * maps + MEMORY_OF_FIXED_MAPS));
		ck_assert_uint_eq(read_cell(&row), mib_of(n * with_details + MEMORY_OF_FIXED_MAPS));
		ck_assert_uint_eq(read_cell(&row), mib_of(memory_needed(n, maps, 0)));
		ck_assert_uint_eq(read_cell(&row), mib_of(memory_needed(n, with_details, 0)));
	}
	ck_assert_uint_ge(rows, 5);
	snprintf(said, sizeof(said),
		 "a window of 65536 needs\n%u MiB with\n.Cm ebpf\n.Pq %u MiB with details ,",
		 (unsigned int)mib_of(memory_needed(65536, maps, 0)),
		 (unsigned int)mib_of(memory_needed(65536, with_details, 0)));
	ck_assert_ptr_nonnull(strstr(manual, said));
	free(readme);
	free(manual);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_limit");
	TCase *test_case = tcase_create("memory_limit");

	add_directory(test_case);
	tcase_add_test(test_case, limits);
	tcase_add_test(test_case, flows);
	tcase_add_test(test_case, uploader);
	tcase_add_test(test_case, documents);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
