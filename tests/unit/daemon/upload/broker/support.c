/* SPDX-License-Identifier: BSD-3-Clause */
/* Files for a broker to open. */

#include "tests/unit/daemon/upload/broker/support.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

char root[SCRATCH_MAX];
struct config config;
struct sink_config sinks[2];
static char paths[16][256];
static size_t n_paths;
struct broker *broker;
int writer = -1;

char *path_of(const char *name)
{
	char *path = paths[n_paths++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

void make_file(const char *name, const char *content, mode_t mode, uid_t owner)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	if (getuid() == 0)
		ck_assert_int_eq(fchown(fd, owner, owner), 0);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

void make_directory(const char *name, mode_t mode, uid_t owner)
{
	ck_assert_int_eq(mkdir(path_of(name), 0700), 0);
	if (getuid() == 0)
		ck_assert_int_eq(chown(path_of(name), owner, owner), 0);
	ck_assert_int_eq(chmod(path_of(name), mode), 0);
}

void make_link(const char *target, const char *name, uid_t owner)
{
	ck_assert_int_eq(symlink(target, path_of(name)), 0);
	if (getuid() == 0)
		ck_assert_int_eq(lchown(path_of(name), owner, owner), 0);
}

void broker_setup(void)
{
	scratch_make(root);
	make_directory("closed", 0700, 0);
	make_directory("closed/theirs", 0700, THEIRS);
	make_directory("sticky", 01777, 0);
	make_directory("spool", 0700, 0);
	make_file("closed/secret", "secret", 0600, 0);
	make_file("spool/entry", "entry", 0600, 0);
	make_file("spool/outside", "", 0600, 0);
	config = (struct config){.file = path_of("closed/netlogd.conf"),
				 .control_socket = path_of("control.sock"),
				 .spool_directory = path_of("spool"),
				 .sinks = sinks,
				 .n_sinks = 2};
	memset(sinks, 0, sizeof(sinks));
}

void broker_teardown(void)
{
	broker_free(broker);
	broker = NULL;
	writer = safe_close(writer);
}

void start_broker(void)
{
	struct broker_options options = {.config = &config, .spool_fd = -1, .inotify_fd = -1};

	options.user = (struct sandbox_user){.change = getuid() == 0, .uid = THEIRS, .gid = THEIRS};
	if (!options.user.change)
		options.user = (struct sandbox_user){.uid = getuid(), .gid = getgid()};
	ck_assert_int_eq(broker_new(&options, &broker), 0);
}
