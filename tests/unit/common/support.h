#pragma once

/* Shared by the suites of common/. */

#include <check.h>
#include <stddef.h>

/* Runs the tests as one suite; what main() returns. */
int run_suite(const char *name, const TTest *const *tests, size_t n);

/*
 * A new directory below TMPDIR, removed with all that is in it by directory_remove() (a test's checked
 * fixture, so that it also goes when an assertion fails). The path is owned by the caller.
 */
char *directory_make(void);
void directory_remove(char *path);
/* "<directory>/<name>", owned by the caller. */
char *path_in(const char *directory, const char *name);
/* Writes a file with a mode. */
void file_make(const char *path, const char *content, unsigned int mode);
