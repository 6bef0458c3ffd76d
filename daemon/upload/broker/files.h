/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the broker does with a file, with the rights it has at that moment; without a broker the caller does
 * the same. Each takes a path relative to a directory (AT_FDCWD: any path) and extra flags for open(2), gives
 * descriptors, and returns 0 or -errno.
 */

#include "common/fd_pass.h"

typedef int broker_file_fn(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX]);

/* Opens a file for reading. */
broker_file_fn broker_file_open;
/* Opens a private log ID for reading; creates it if it is missing. */
broker_file_fn broker_file_open_log_id;
/* Opens a file sink's file for reading and appending, created if it is missing, and its directory. */
broker_file_fn broker_file_open_lines;
/* Renames a file sink's file to PATH.1, each PATH.n to the next, and creates an empty one. No descriptors. */
broker_file_fn broker_file_rotate;
