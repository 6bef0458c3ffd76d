/* SPDX-License-Identifier: BSD-3-Clause */
/* The one cleanup helper that is too large to be inline. */

#include "common/cleanup.h"

#include <errno.h>

int safe_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}
