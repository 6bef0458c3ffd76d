/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl tail: tables, names, lines. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_tail)
{
	const struct fake_answer answers[] = {
		{"Tail", "{'message':" SAMPLE_MESSAGE "}\n{'message':" SAMPLE_TEXT "}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "tail", ASKED("Tail"));
	_cleanup_run_ struct run named = run_with(answers, 1, "tail --resolve", ASKED("Tail"));
	_cleanup_run_ struct run lines = run_with(answers, 1, "tail --json", ASKED("Tail"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out,
			 "2022-10-13T20:23:09.644Z  5 s  node n123  #7\n"
			 "   PROTO  SOURCE         DESTINATION       TX PKTS  TX BYTES  RX PKTS  RX BYTES\n"
			 "virtual: 1 connection, sent 7.95 KiB (1.59 KiB/s), received 5.04 KiB (1.01 KiB/s)\n"
			 "   tcp    100.64.0.1:22  100.64.0.2:42912       80  7.95 KiB       52  5.04 KiB\n"
			 "physical: 1 connection, sent 10.5 KiB (2.10 KiB/s), received 0 B (0 B/s)\n"
			 "   -      100.64.0.2     192.0.2.2:51820        81  10.5 KiB        -         -\n"
			 "  overflow of tun, in no entry: sent 0 packets (0 B), received 12 packets (768 B)\n"
			 "\n"
			 "2022-10-13T20:23:15Z  netlogd: stopped\n");
	assert_contains(named.out, "   tcp    me.ts.net:22  100.64.0.2:42912 ");
	{
		_cleanup_free_ char *first = strndup(lines.out, strcspn(lines.out, "\n"));
		json_t *line = json_loads(first, 0, NULL);

		assert_json(line, SAMPLE_MESSAGE);
		assert_contains(lines.out, "\"text\":\"netlogd: stopped\"}\n");
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_tail};

	return run_suite("tail", tests, ARRAY_SIZE(tests));
}
