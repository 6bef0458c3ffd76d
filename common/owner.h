/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Whose files are whose: the daemon, the uploader and root's commands share directories, and each must be
 * able to use what another has left there.
 */

#include <sys/types.h>

/*
 * A file or directory that root has made in a directory of another user is given to that user (and the
 * directory's group), who could not open it otherwise. Anything else is left as it is: also a file with a
 * second name, which may be somebody else's. 0 or -errno.
 */
int owner_give(int fd, int directory_fd);

/*
 * strerror() for an error of using a path, and after EACCES and EPERM what denies it: its owner and mode, and
 * who this process is. In short words without the path for other errors. Owned by the caller; NULL without
 * memory.
 */
char *owner_error_text(const char *path, int error);
