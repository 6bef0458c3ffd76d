/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens and passwords, read through the broker each time that they are needed. */

#include "daemon/upload/credentials/secret.h"

#include "common/file.h"
#include "daemon/upload/broker/broker.h"

#include <errno.h>

#define SECRET_SIZE_MAX 4096

int secret_read(struct broker *broker, const char *path, char **ret_secret)
{
	_cleanup_close_ int fd = broker_open_secret(broker, path);
	_cleanup_(wipe_freep) char *secret = NULL;
	size_t n = 0;
	mode_t mode = 0;
	int r;

	if (fd < 0)
		return fd;
	r = file_read_fd(fd, SECRET_SIZE_MAX, &secret, &n, &mode);
	if (r < 0)
		return r;
	if (!file_is_private(fd, mode))
		return -EPERM;
	if (n > 0 && secret[n - 1] == '\n')
		secret[--n] = '\0';
	if (n > 0 && secret[n - 1] == '\r')
		secret[--n] = '\0';
	if (n == 0)
		return -EINVAL;
	/* It goes into a header line, where a line break would start another header. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)secret[i] < 0x20 || secret[i] == 0x7f)
			return -EINVAL;
	*ret_secret = TAKE_PTR(secret);
	return 0;
}
