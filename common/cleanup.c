/* SPDX-License-Identifier: BSD-3-Clause */
/* The cleanup helpers that need not be inline. */

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

int safe_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

void wipe_text(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
}

char *wipe_free(char *text)
{
	wipe_text(text);
	free(text);
	return NULL;
}
