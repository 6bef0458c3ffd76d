/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon takes of the file system for itself: the state directory with its lock, and the paths of
 * its two sockets. Who may have which of them is decided here, and wrong answers of the kernel are put into
 * words for the operator.
 */

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/unix_socket.h"
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

static int make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		log_error("%s can't be made: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

/* One daemon per state directory: the lock ends with the process, however it ends. */
static int lock_state_directory(struct daemon *daemon)
{
	const char *directory = daemon->config->state_directory;
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/lock", directory) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock_fd < 0) {
		log_error("%s can't be opened: %s", path, strerror(errno));
		return -errno;
	}
	r = file_lock(daemon->lock_fd);
	if (r == -EWOULDBLOCK)
		log_error("another netlogd runs with the state directory %s", directory);
	else if (r < 0)
		log_error("%s can't be locked: %s", path, strerror(-r));
	return r;
}

int daemon_prepare_directories(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	int r = make_directory(config->state_directory, 0700);

	if (r >= 0)
		r = lock_state_directory(daemon);
	if (r >= 0 && !daemon->external_uploader)
		r = make_directory(config->upload_directory, 0700);
	return r;
}

static int find_group(const char *name, gid_t *ret_gid)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return -ENOENT;
	*ret_gid = group->gr_gid;
	return 0;
}

/* Run by hand there is nobody else to make /run/netlogd. Others pass through it: the socket says who may. */
static int make_socket_directory(const char *socket_path)
{
	_cleanup_free_ char *path = strndup(socket_path, (size_t)(strrchr(socket_path, '/') - socket_path));

	if (!path)
		return -ENOMEM;
	if (!*path || access(path, F_OK) == 0)
		return 0;
	if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0) {
		log_error("%s can't be made: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

int daemon_open_control_socket(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	mode_t mode = 0660;
	gid_t group = UNIX_SOCKET_NO_GROUP;
	int r;

	if (!config->control_group || find_group(config->control_group, &group) < 0) {
		if (config->control_group && config->control_group_named) {
			log_error("%s: control-group: there is no group %s", config->file,
				  config->control_group);
			return -EINVAL;
		}
		log_warning("there is no group %s: only the own user may connect to %s",
			    config->control_group ? config->control_group : "netlogd",
			    config->control_socket);
		mode = 0600;
	}
	r = make_socket_directory(config->control_socket);
	if (r < 0)
		return r;
	r = unix_socket_listen(config->control_socket, mode, group, &daemon->control_fd);
	if (r < 0)
		log_error("%s: %s", config->control_socket,
			  r == -EADDRINUSE ? "another daemon listens there"
			  : r == -EEXIST   ? "it is there, and no socket"
					   : strerror(-r));
	daemon->control_bound = r >= 0;
	return r;
}

/*
 * The uploader's socket stands beside the control socket. As a service the collector can't give it another
 * group than its own, in which the uploader is; who else is in it is told apart by is_uploader().
 */
int daemon_open_upload_socket(struct daemon *daemon)
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
	if (r < 0) {
		log_error("%s: %s", path, strerror(-r));
		return r;
	}
	daemon->upload_socket = TAKE_PTR(path);
	return uploader_link_listen(daemon->uploader, fd);
}

/*
 * While their listeners still live: a path whose server is gone would be taken by the next daemon, which must
 * not lose it again.
 */
void daemon_remove_sockets(struct daemon *daemon)
{
	if (daemon->control_bound)
		unlink(daemon->config->control_socket);
	if (daemon->upload_socket)
		unlink(daemon->upload_socket);
}
