/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* netlogctl in the test's own process: a command line in, an exit status and two texts out. */

#include "common/cleanup.h"
#include "control/commands/dispatch.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/support.h"

#include <string.h>

struct run {
	int status;
	char *out, *err;
};

void run_deinit(struct run *run);
#define _cleanup_run_ _cleanup_(run_deinit)

/* Runs a command line, words separated by blanks; socket (for --socket) and input may be NULL. */
struct run run_line(const char *socket, const char *line, const char *input);
/* Runs one against a daemon with these answers; asserts what the daemon was asked. */
struct run run_with(const struct fake_answer *answers, size_t n, const char *line, const char *asked);

/* What the daemon was asked, for a method without parameters. */
#define ASKED(method) "[{'method':'" method "','parameters':{}}]"

#define assert_contains(text, part) ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text)
