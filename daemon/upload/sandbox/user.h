/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The user that the uploader runs as once it is confined. Both it and the broker decide by that user. */

#include <stdbool.h>
#include <sys/types.h>

struct sandbox_user {
	bool change; /* this process is root, and that user is another */
	uid_t uid;
	gid_t gid;
};

/*
 * For root: the user netlogd-upload or, if the system has none, one without a name and without files. For
 * others: the user that this is already. 0, or -errno if it can't be found out whether there is that user.
 */
int sandbox_user_find(struct sandbox_user *ret_user);
/* Takes on that user's rights to files for a while. 0 or -errno; sandbox_user_restore() in either case. */
int sandbox_user_assume(const struct sandbox_user *user);
void sandbox_user_restore(const struct sandbox_user *user);
/* Becomes that user permanently. 0 or -errno. */
int sandbox_user_become(const struct sandbox_user *user);
