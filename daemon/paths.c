/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides who may use the state directory and the two sockets, and turns errors of the file system into words
 * for the operator.
 */

#include "daemon/paths.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/owner.h"
#include "common/unix_socket.h"
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

/* Returns the error. */
static int tell_error(const char *path, const char *what, int error)
{
	_cleanup_free_ char *reason = owner_error_text(path, error);

	log_error("%s: %s%s", path, what, reason ? reason : strerror(-error));
	return error;
}

static int make_directory(const char *path, mode_t mode)
{
	int r = make_directory_at(AT_FDCWD, path, mode);

	return r < 0 ? tell_error(path, "cannot create: ", r) : 0;
}

/* What root's daemon has left in a directory that belongs to a service now is the usual reason. */
static int tell_locked_out(const char *directory, const char *lock, int error)
{
	tell_error(lock, "cannot open: ", error);
	if (error == -EACCES)
		log_error(
			"if netlogd was run by hand here, move what it has left away and start again: \"mv %s "
			"%s.by-hand; systemd-tmpfiles --create netlogd.conf; systemctl restart netlogd\" "
			"(netlogd(8) tells how to keep its log ID and its messages)",
			directory, directory);
	return error;
}

/* One daemon per state directory: the lock ends with the process, however it ends. */
static int lock_state_directory(struct daemon *daemon)
{
	const char *directory = daemon->config->state_directory;
	_cleanup_close_ int directory_fd = -1;
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/lock", directory) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock_fd < 0)
		return tell_locked_out(directory, path, -errno);
	directory_fd = open_directory(directory);
	if (directory_fd >= 0)
		(void)owner_give(daemon->lock_fd, directory_fd);
	r = file_lock(daemon->lock_fd);
	if (r == -EWOULDBLOCK)
		log_error("another netlogd is using the state directory %s", directory);
	else if (r < 0)
		log_error("%s: cannot lock: %s", path, strerror(-r));
	return r;
}

int paths_prepare(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	int r = make_directory(config->state_directory, 0700);

	if (r >= 0)
		r = lock_state_directory(daemon);
	if (r >= 0 && !daemon->external_uploader)
		r = make_directory(config->upload_directory, 0700);
	return r;
}

/* 0; -ENOENT: no such group; another -errno: nobody could tell. */
static int find_group(const char *name, gid_t *ret_gid)
{
	const struct group *group;

	errno = 0;
	group = getgrnam(name);
	if (!group)
		return errno == 0 || errno == ESRCH ? -ENOENT : -errno;
	*ret_gid = group->gr_gid;
	return 0;
}

/* For a daemon that is run by hand. The directory is open to all: the socket itself decides who may connect.
 */
static int make_socket_directory(const char *socket_path)
{
	_cleanup_free_ char *path = strndup(socket_path, (size_t)(strrchr(socket_path, '/') - socket_path));

	if (!path)
		return -ENOMEM;
	if (!*path || access(path, F_OK) == 0)
		return 0;
	if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
		return tell_error(path, "cannot create: ", -errno);
	return 0;
}

int paths_open_control_socket(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	mode_t mode = 0660;
	gid_t group = UNIX_SOCKET_NO_GROUP;
	const char *name = config->control_group ? config->control_group : "netlogd";
	int r = config->control_group ? find_group(name, &group) : -ENOENT;
	char why[128] = "does not exist";

	if (r < 0 && r != -ENOENT)
		snprintf(why, sizeof(why), "cannot be looked up (%s)", strerror(-r));
	if (r < 0 && config->control_group && config->control_group_named) {
		log_error("%s: control-group: group %s %s", config->file, name, why);
		return -EINVAL;
	}
	if (r < 0) {
		log_warning("group %s %s: only the daemon's user can connect to %s", name, why,
			    config->control_socket);
		mode = 0600;
	}
	r = make_socket_directory(config->control_socket);
	if (r < 0)
		return r;
	r = unix_socket_listen(config->control_socket, mode, group, &daemon->control_fd);
	if (r == -EADDRINUSE || r == -EEXIST)
		log_error("%s: %s", config->control_socket,
			  r == -EEXIST ? "exists and is not a socket" : "another daemon is listening on it");
	else if (r < 0)
		tell_error(config->control_socket, "cannot listen: ", r);
	daemon->control_bound = r >= 0;
	return r;
}

/*
 * The uploader's socket is beside the control socket. A daemon that runs as a service can give it no group
 * but its own. The uploader is a member of that group; is_uploader() keeps the other members out.
 */
int paths_open_upload_socket(struct daemon *daemon)
{
	const char *control = daemon->config->control_socket, *slash = strrchr(control, '/');
	_cleanup_free_ char *path = NULL;
	gid_t group = UNIX_SOCKET_NO_GROUP;
	int fd, r;

	if (asprintf(&path, "%.*supload.sock", slash ? (int)(slash - control + 1) : 0, control) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	(void)find_group("netlogd-upload", &group);
	r = unix_socket_listen(path, 0660, group, &fd);
	if (r == -EPERM)
		r = unix_socket_listen(path, 0660, UNIX_SOCKET_NO_GROUP, &fd);
	if (r < 0)
		return tell_error(path, "cannot listen: ", r);
	daemon->upload_socket = TAKE_PTR(path);
	return uploader_link_listen(daemon->uploader, fd);
}

/*
 * While their listeners still exist: the next daemon takes over a path as soon as its server is gone, and
 * must not lose it again.
 */
void paths_remove_sockets(struct daemon *daemon)
{
	if (daemon->control_bound)
		unlink(daemon->config->control_socket);
	if (daemon->upload_socket)
		unlink(daemon->upload_socket);
}
