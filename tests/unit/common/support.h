/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Shared by the suites of common/. */

#include <check.h>

/* Runs a suite; what main() returns. */
int run_suite(Suite *suite);

/* Gives each test of a case an empty directory of its own (scratch.h). */
void add_directory(TCase *test_case);
const char *test_directory(void);
/* "<test's directory>/<name>", owned by the caller. */
char *path_in(const char *name);
/* Writes a file with a mode. */
void make_file(const char *path, const char *content, unsigned int mode);
