/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a spool is found. */

#include "control/spool_source.h"

#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/sample_spool.h"

/* The daemon behind the socket says where its spool is; without one, the configuration does. */
START_TEST(test_where)
{
	struct sample_spool place = sample_spool_make();
	_cleanup_free_ char *status = NULL, *file = NULL, *text = NULL, *line = NULL;
	struct fake_answer answers[] = {{"Status", NULL}};
	struct fake_daemon *daemon;
	struct run asked, configured, nowhere, other;
	FILE *config;

	ck_assert_int_gt(asprintf(&text, "{'directory':'%s'}", place.spool), 0);
	ck_assert_int_gt(asprintf(&status, "{'status':{'spool':%s}}", text), 0);
	answers[0].parameters = status;
	daemon = fake_daemon_start(answers, 1);
	fake_daemon_unchecked(daemon);
	asked = run_line(fake_daemon_socket(daemon), "flows --by class --class exit", NULL);
	json_decref(fake_daemon_stop(daemon));

	ck_assert_int_gt(asprintf(&file, "%s/upload/n.conf", place.directory), 0);
	config = fopen(file, "w");
	ck_assert_ptr_nonnull(config);
	fprintf(config, "[netlogd]\nstate-directory=%s\n[tun]\nsource=none\n", place.directory);
	fclose(config);
	ck_assert_int_gt(asprintf(&line, "flows --by class --class exit --config %s", file), 0);
	configured = run_line(NULL, line, NULL);
	nowhere = run_line(NULL, "flows --spool /nowhere/spool", NULL);
	other = run_line(NULL, "spool check /etc", NULL);
	sample_spool_remove(&place);

	ck_assert_int_eq(asked.status, CTL_OK);
	assert_contains(asked.out, "exit   all      60 B       0 B        1        0\n");
	ck_assert_int_eq(configured.status, CTL_OK);
	ck_assert_str_eq(configured.out, asked.out);
	ck_assert_int_eq(nowhere.status, CTL_FAILED);
	assert_contains(nowhere.err, "spool /nowhere/spool: No such file or directory");
	ck_assert_int_eq(other.status, CTL_FAILED);
	ck_assert_str_eq(other.out, "");
	assert_contains(other.err, "/etc is not a spool: it holds no segments");
	run_deinit(&other);
	run_deinit(&asked);
	run_deinit(&configured);
	run_deinit(&nowhere);
}
END_TEST

START_TEST(test_no_configuration)
{
	_cleanup_run_ struct run run = run_line(NULL, "flows --config /nowhere/n.conf", NULL);

	ck_assert_int_eq(run.status, CTL_FAILED);
	ck_assert_str_eq(run.err, "netlogctl: /nowhere/n.conf: cannot be read: No such file or directory\n");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_where, test_no_configuration};

	return run_suite("spool_source", tests, ARRAY_SIZE(tests));
}
