/* SPDX-License-Identifier: BSD-3-Clause */
/* No daemon, and every kind of error that one can answer with. */

#include "control/daemon_call.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(test_no_daemon)
{
	static const char *const lines[] = {"status", "start",	     "stop", "reload",
					    "flush",  "routes show", "tail", "metrics"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line("/nowhere/control.sock", lines[i], NULL);

		ck_assert_int_eq(run.status, CTL_FAILED);
		ck_assert_str_eq(run.out, "");
		assert_contains(run.err,
				"netlogctl: no daemon answers at /nowhere/control.sock. Start it with");
	}
}
END_TEST

START_TEST(test_errors)
{
	static const struct {
		const char *error, *parameters, *message;
	} errors[] = {
		{"org.netlogd.control.AlreadyRunning", "{'publicId':'ab'}", "already running, for log ID ab"},
		{"org.netlogd.control.DeviceUnavailable", "{'device':'tun','reason':'no such thing'}",
		 "the tun device is not available: no such thing"},
		{"org.netlogd.control.Failed", "{'reason':'so it is'}",
		 "the daemon could not do that: so it is"},
		{"org.netlogd.control.Failed", "{'reason':'a\\u001b[31mb'}", "could not do that: a?[31mb"},
		{"org.varlink.service.PermissionDenied", "{}",
		 "only root, the daemon's user and its operators may do this"},
		{"org.varlink.service.MethodNotImplemented", "{'method':'a.b'}", "does not know a.b"},
		{"org.example.Else", "{}", "answered with org.example.Else"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct fake_answer answers[] = {{"Start", errors[i].parameters, errors[i].error}};
		_cleanup_run_ struct run run = run_with(answers, 1, "start", ASKED("Start"));

		ck_assert_int_eq(run.status, CTL_FAILED);
		ck_assert_str_eq(run.out, "");
		assert_contains(run.err, errors[i].message);
	}
}
END_TEST

/* The socket is that of a configuration that cannot be read: the file as a whole is wrong, no line of it. */
START_TEST(test_no_configuration)
{
	_cleanup_run_ struct run run = run_line(NULL, "status --config /nowhere/n.conf", NULL);

	ck_assert_int_eq(run.status, CTL_FAILED);
	ck_assert_str_eq(run.err, "netlogctl: /nowhere/n.conf: cannot be read: No such file or directory\n");
}
END_TEST

/* A daemon that was started with another control-socket is a reason that is easily overlooked. */
START_TEST(test_no_daemon_at_the_configured_socket)
{
	char path[SCRATCH_MAX];
	_cleanup_free_ char *line = NULL, *expected = NULL;
	int fd = scratch_make_file(path);
	struct run run;

	ck_assert_int_gt(dprintf(fd, "[netlogd]\ncontrol-socket=/nowhere/new.sock\n"), 0);
	ck_assert_int_gt(asprintf(&line, "--config %s reload", path), 0);
	run = run_line(NULL, line, NULL);
	close(fd);
	ck_assert_int_eq(run.status, CTL_FAILED);
	ck_assert_int_gt(
		asprintf(&expected, "netlogctl: no daemon answers at /nowhere/new.sock, which %s", path), 0);
	assert_contains(run.err, expected);
	assert_contains(run.err, "before control-socket changed: --socket with the path that was there\n");
	run_deinit(&run);
}
END_TEST

/* Only the socket is wanted of the file: an error elsewhere in it is told, and no more. */
START_TEST(test_configuration_with_an_error)
{
	char path[] = "/tmp/netlogctl-test-XXXXXX";
	_cleanup_free_ char *line = NULL, *warning = NULL;
	int fd = mkstemp(path);
	struct run run;

	ck_assert_int_gt(dprintf(fd, "[netlogd]\ncontrol-socket=/nowhere/new.sock\n[tun]\nsource=foo\n"), 0);
	ck_assert_int_gt(asprintf(&line, "--config %s status", path), 0);
	ck_assert_int_gt(asprintf(&warning, "netlogctl: warning: %s:4: source = foo: expected ", path), 0);
	run = run_line(NULL, line, NULL);
	unlink(path);
	close(fd);
	ck_assert_int_eq(run.status, CTL_FAILED);
	assert_contains(run.err, warning);
	assert_contains(run.err, "; only control-socket is taken from the file\n");
	assert_contains(run.err, "netlogctl: no daemon answers at /nowhere/new.sock, which ");
	run_deinit(&run);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_no_daemon,
		test_errors,
		test_no_configuration,
		test_no_daemon_at_the_configured_socket,
		test_configuration_with_an_error,
	};

	return run_suite("daemon_call", tests, ARRAY_SIZE(tests));
}
