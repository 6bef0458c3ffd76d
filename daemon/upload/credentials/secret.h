/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Tokens and passwords in files. */

#include "common/cleanup.h"

struct broker;

DEFINE_CLEANUP(char *, wipe_free);

/*
 * The first line of a file that only its owner can read, at most 4096 bytes, without the newline. 0, -EPERM
 * if others can read it, -EINVAL if it is empty or holds control characters, or -errno. To be released by
 * wipe_free().
 */
int secret_read(struct broker *broker, const char *path, char **ret_secret);
