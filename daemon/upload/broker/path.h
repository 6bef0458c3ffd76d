/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Where a path leads, and whether the uploader's user could have changed that: root must not follow a link
 * that this user planted.
 */

#include <limits.h>
#include <stdbool.h>

struct sandbox_user;

/*
 * What a path leads to: an entry (path) of a directory. Untrusted: the uploader's user can write to a
 * directory before it, so the rest of the path, which may have several parts, must be followed with that
 * user's rights. Otherwise it is a single part that is not a symbolic link.
 */
struct broker_place {
	int directory_fd;
	char path[PATH_MAX];
	bool untrusted;
};

/* 0 or -errno. A broker that has the uploader's user anyway trusts nothing. */
int broker_place_find(const struct sandbox_user *user, const char *path, struct broker_place *ret_place);
void broker_place_deinit(struct broker_place *place);
