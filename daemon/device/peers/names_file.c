/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The token is taken before the file is read: what is written meanwhile makes it another one. File systems
 * tell times in steps of up to two seconds, in which a file may change unseen; so a file that has just
 * changed has no token, and is read once more.
 */

#include "daemon/device/peers/names_file.h"

#include "common/time_text.h"
#include "daemon/device/peers/conf_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define READ_SIZE    (16 * 1024)
#define TIME_STEP_NS (2 * NSEC_PER_SEC)

static void make_token(const struct stat *st, char ret_token[static WG_NAMES_TOKEN_MAX])
{
	snprintf(ret_token, WG_NAMES_TOKEN_MAX, "%llx-%llx-%llx-%llx.%lx-%llx.%lx",
		 (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
		 (unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
		 (unsigned long)st->st_mtim.tv_nsec, (unsigned long long)st->st_ctim.tv_sec,
		 (unsigned long)st->st_ctim.tv_nsec);
}

static bool has_just_changed(const struct stat *st)
{
	int64_t changed = st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec, now = time_now_wall();

	return now - changed < TIME_STEP_NS && changed - now < TIME_STEP_NS;
}

static int read_names(int fd, struct wg_names *names)
{
	_cleanup_(conf_names_deinit) struct conf_names file = {};
	size_t left = WG_NAMES_FILE_MAX;
	char buffer[READ_SIZE];
	int r = 0;

	while (r == 0) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return conf_names_finish(&file, names);
		/* It grows while it is read. */
		if ((size_t)n > left)
			r = -EFBIG;
		left -= MIN((size_t)n, left);
		if (r == 0)
			r = conf_names_feed(&file, buffer, (size_t)n, names);
		explicit_bzero(buffer, (size_t)n);
	}
	return r;
}

int wg_names_file_read(const char *path, char token[static WG_NAMES_TOKEN_MAX], struct wg_names *ret_names)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char now[WG_NAMES_TOKEN_MAX], before[WG_NAMES_TOKEN_MAX];
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && *token) {
		make_token(&st, now);
		if (strcmp(now, token) == 0)
			return 0;
	}
	*token = '\0';
	/* Not to wait for whoever would write into a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > WG_NAMES_FILE_MAX)
		return -EFBIG;
	make_token(&st, before);
	r = read_names(fd, &names);
	if (r < 0)
		return r;
	/* What was read may be half of what is written. */
	if (fstat(fd, &st) < 0)
		return -errno;
	make_token(&st, now);
	if (strcmp(now, before) != 0)
		return -EAGAIN;
	if (!has_just_changed(&st))
		memcpy(token, now, sizeof(now));
	*ret_names = names;
	names = (struct wg_names){};
	return 1;
}
