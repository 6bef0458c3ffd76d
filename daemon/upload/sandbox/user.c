/* SPDX-License-Identifier: BSD-3-Clause */
/* Which user the uploader becomes, and how: credentials(7), user_namespaces(7). */

#include "daemon/upload/sandbox/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define USER_NAME "netlogd-upload"
/*
 * Where that user does not exist: an ID that nobody else has. It lies between the range that systemd
 * allocates from and "nobody", which other services use. (https://systemd.io/UIDS-GIDS/)
 */
#define USER_WITHOUT_NAME 65533

int sandbox_user_find(struct sandbox_user *ret_user)
{
	const struct passwd *entry;

	if (geteuid() != 0) {
		*ret_user = (struct sandbox_user){.uid = geteuid(), .gid = getegid()};
		return 0;
	}
	errno = 0;
	entry = getpwnam(USER_NAME);
	/*
	 * The ways to say that there is none: getpwnam(3). Anything else (no descriptors, a directory service
	 * that does not answer) says nothing, and must not give the upload directory to another user.
	 */
	if (!entry && errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM)
		return -errno;
	*ret_user = (struct sandbox_user){.change = true, .uid = USER_WITHOUT_NAME, .gid = USER_WITHOUT_NAME};
	if (entry && entry->pw_uid != 0) {
		ret_user->uid = entry->pw_uid;
		ret_user->gid = entry->pw_gid;
	}
	return 0;
}

int sandbox_user_assume(const struct sandbox_user *user)
{
	if (!user->change)
		return 0;
	if (setresgid((gid_t)-1, user->gid, (gid_t)-1) < 0 || setresuid((uid_t)-1, user->uid, (uid_t)-1) < 0)
		return -errno;
	return 0;
}

void sandbox_user_restore(const struct sandbox_user *user)
{
	/* Back to the real IDs, which have not changed: this cannot fail, and must not. */
	if (user->change &&
	    (setresuid((uid_t)-1, getuid(), (uid_t)-1) < 0 || setresgid((gid_t)-1, getgid(), (gid_t)-1) < 0))
		abort();
}

int sandbox_user_become(const struct sandbox_user *user)
{
	if (!user->change)
		return 0;
	/* Only root can drop what it might gain again. */
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability) < 0 && errno != EPERM)
			return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}
