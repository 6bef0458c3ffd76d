/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs netlogctl as a function. */

#include "tests/unit/control/run_line.h"

void run_deinit(struct run *run)
{
	free(run->out);
	free(run->err);
}

struct run run_line(const char *socket, const char *line, const char *input)
{
	_cleanup_free_ char *copy = strdup(line);
	char *argv[32] = {(char *)"netlogctl"}, *rest = copy;
	struct ctl ctl = {};
	struct run run = {};
	size_t n_out, n_err;
	int argc = 1;

	if (socket) {
		argv[argc++] = (char *)"--socket";
		argv[argc++] = (char *)socket;
	}
	while ((argv[argc] = strsep(&rest, " ")))
		argc++;
	ctl.in = fmemopen((char *)(input ? input : " "), input ? strlen(input) : 1, "r");
	ctl.out = open_memstream(&run.out, &n_out);
	ctl.err = open_memstream(&run.err, &n_err);
	run.status = ctl_main(&ctl, argc, argv);
	fclose(ctl.in);
	fclose(ctl.out);
	fclose(ctl.err);
	return run;
}

struct run run_with(const struct fake_answer *answers, size_t n, const char *line, const char *asked)
{
	struct fake_daemon *daemon = fake_daemon_start(answers, n);
	struct run run = run_line(fake_daemon_socket(daemon), line, NULL);

	assert_json(fake_daemon_stop(daemon), asked);
	return run;
}
