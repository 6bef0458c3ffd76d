/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing is ever sent. */

#include "daemon/device/held_name.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static int open_socket(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	/* The first byte 0: abstract. */
	int length = snprintf(ret_address->sun_path + 1, sizeof(ret_address->sun_path) - 1, "%s", name);
	int fd;

	if (length >= (int)sizeof(ret_address->sun_path) - 1)
		return -ENAMETOOLONG;
	ret_address->sun_family = AF_UNIX;
	ret_address->sun_path[0] = '\0';
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int held_name_take(const char *name, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {};
	socklen_t length;

	fd = open_socket(name, &address, &length);
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&address, length) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int held_name_ask(const char *name)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {};
	socklen_t length;

	fd = open_socket(name, &address, &length);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&address, length) == 0)
		return 1;
	return errno == ECONNREFUSED ? 0 : -errno;
}
