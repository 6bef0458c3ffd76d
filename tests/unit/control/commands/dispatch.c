/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands: usage, help and the completion all know it. */

#include "control/commands/dispatch.h"

#include "common/file.h"
#include "tests/unit/control/run_line.h"

#include <ctype.h>
#include <fcntl.h>

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"",
		"nonsense",
		"routes",
		"routes nonsense",
		"routes nonsense --help",
		"help nonsense",
		"help routes nonsense",
		"status extra",
		"status --no",
		"stop --deadline",
		"stop --deadline x",
		"stop --json=1",
		"stop --deadline 7200",
		"id new",
		"id public a b",
		"nodes set",
		"--socket",
		"-x status",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_msg(run.status == CTL_USAGE, "%s: %d", lines[i], run.status);
		ck_assert_str_eq(run.out, "");
		ck_assert_int_eq(strncmp(run.err, "netlogctl: ", 11), 0);
	}
}
END_TEST

/* Every command explains itself, and is known to the help. */
START_TEST(test_help)
{
	_cleanup_run_ struct run all = run_line(NULL, "--help", NULL);

	ck_assert_int_eq(all.status, CTL_OK);
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		_cleanup_free_ char *line = NULL, *usage = NULL, *sentence = NULL;
		struct run run;

		ck_assert_int_gt(asprintf(&line, "%s --help", command->name), 0);
		ck_assert_int_gt(asprintf(&usage, "usage: netlogctl %s", command->name), 0);
		run = run_line(NULL, line, NULL);
		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.err, "");
		assert_contains(run.out, usage);
		/* As a sentence. */
		ck_assert_int_gt(asprintf(&sentence, "\n\n%c%s.\n", toupper((unsigned char)*command->summary),
					  command->summary + 1),
				 0);
		assert_contains(run.out, sentence);
		assert_contains(all.out, command->name);
		run_deinit(&run);
	}
}
END_TEST

/* The first word of several commands explains all of them. */
START_TEST(test_help_of_a_group)
{
	static const char *const lines[] = {"routes --help", "routes -h", "help routes"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.err, "");
		ck_assert_str_eq(run.out, "usage:\n  netlogctl routes show\n"
					  "  netlogctl routes set --local-addr P... --route P... "
					  "--subnet-route P... | --file FILE\n");
	}
}
END_TEST

/* The completion knows every command, and every option that a command's help names. */
START_TEST(test_completion)
{
	_cleanup_free_ char *script = NULL;
	size_t size;

	ck_assert_int_eq(file_read(AT_FDCWD, COMPLETION, 65536, &script, &size, NULL), 0);
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		_cleanup_free_ char *line = NULL, *word = strndup(command->name, strcspn(command->name, " "));
		struct run run;

		ck_assert_msg(strstr(script, word) != NULL, "%s", command->name);
		ck_assert_int_gt(asprintf(&line, "help %s", command->name), 0);
		run = run_line(NULL, line, NULL);
		for (const char *at = run.out; (at = strstr(at, "--")); at += 2) {
			_cleanup_free_ char *option = strndup(at, strspn(at, "-abcdefghijklmnopqrstuvwxyz"));

			ck_assert_msg(strstr(script, option) != NULL, "%s %s", command->name, option);
		}
		run_deinit(&run);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_usage,
		test_help,
		test_help_of_a_group,
		test_completion,
	};

	return run_suite("dispatch", tests, ARRAY_SIZE(tests));
}
