/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker's process: it takes a request, checks it against the configuration, and replies with a
 * descriptor. It keeps the rights that it started with, as far as opening files needs them, and does nothing
 * else.
 */

#include "daemon/upload/broker/serve.h"

#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/core_dump.h"
#include "common/fd_pass.h"
#include "common/file.h"
#include "common/spool/format.h"
#include "common/unix_socket.h"
#include "daemon/upload/broker/files.h"
#include "daemon/upload/broker/path.h"
#include "daemon/upload/broker/protocol.h"
#include "daemon/upload/sandbox/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define CONFIG_SIZE_MAX (1 << 20)

struct server {
	const struct config *config; /* whose names count */
	struct config *newer;	     /* owned: the same, after a reload */
	struct sandbox_user user;
	int spool_fd;
	int inotify_fd;
};

/* ---- files ---- */

/* Does it where the path leads, with the rights that its directories allow. */
static int act(const struct server *server, const char *path, broker_file_fn *action,
	       int ret_fds[static FD_PASS_MAX])
{
	struct broker_place place;
	int r = broker_place_find(&server->user, path, &place);

	if (r < 0)
		return r;
	if (place.untrusted)
		r = sandbox_user_assume(&server->user);
	if (r == 0)
		r = action(place.directory_fd, place.path, place.untrusted ? 0 : O_NOFOLLOW, ret_fds);
	if (place.untrusted) {
		sandbox_user_restore(&server->user);
		/* The configuration may hold secrets, and a change of user makes the kernel allow dumps. */
		(void)core_dump_forbid();
	}
	broker_place_deinit(&place);
	return r;
}

static bool equal(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

static bool is_named(const struct config *config, enum broker_request what, const char *path)
{
	if (what == BROKER_REQUEST_LOG_ID)
		return equal(config->log_id_file, path) || equal(config->domain_log_id_file, path);
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];

		if (what != BROKER_REQUEST_SECRET) {
			if (equal(sink->path, path))
				return true;
			continue;
		}
		if (equal(sink->bearer_token_file, path) || equal(sink->password_file, path) ||
		    equal(sink->ca_file, path) || equal(sink->cert_file, path) || equal(sink->key_file, path))
			return true;
	}
	return false;
}

static int act_if_named(const struct server *server, enum broker_request what, const char *path,
			broker_file_fn *action, int ret_fds[static FD_PASS_MAX])
{
	return is_named(server->config, what, path) ? act(server, path, action, ret_fds) : -EPERM;
}

/* ---- requests ---- */

/* The result of a request, 0 or more, with descriptors; or -errno. */
typedef int handle_fn(struct server *server, const char *request, int ret_fds[static FD_PASS_MAX]);

/* False when no more requests will come. */
static bool serve_one(struct server *server, int fd, handle_fn *handle)
{
	char request[FD_PASS_REQUEST_MAX + 1];
	int fds[FD_PASS_MAX] = {-1, -1};
	int r = fd_pass_receive(fd, request);

	if (r <= 0)
		return false;
	r = handle(server, request, fds);
	r = fd_pass_reply(fd, r, fds);
	safe_close(fds[0]);
	safe_close(fds[1]);
	return r == 0;
}

/* The uploader reads the same file, through the descriptor, and comes to the same result. */
static int open_config(struct server *server, int ret_fds[static FD_PASS_MAX])
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_free_ char *text = NULL;
	struct config *config;
	size_t size;
	int r = act(server, server->config->file, broker_file_open, ret_fds);

	if (r < 0)
		return r;
	r = file_read_fd(ret_fds[0], CONFIG_SIZE_MAX, &text, &size, NULL);
	if (r == 0 && config_parse(server->config->file, text, size, &config, &error) == 0) {
		config_free(server->newer);
		server->config = server->newer = config;
	}
	return lseek(ret_fds[0], 0, SEEK_SET) < 0 ? -errno : 0;
}

/* 1 if it is watched as well. */
static int open_spool(struct server *server)
{
	const char *path = server->config->spool_directory;

	if (server->spool_fd < 0)
		server->spool_fd = open_directory(path);
	if (server->spool_fd < 0)
		return server->spool_fd;
	return server->inotify_fd >= 0 &&
	       inotify_add_watch(server->inotify_fd, path,
				 IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0;
}

/* To upload.sock, beside the control socket. */
static int connect_link(const struct server *server, int ret_fds[static FD_PASS_MAX])
{
	const char *control = server->config->control_socket, *slash = strrchr(control, '/');
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%.*supload.sock", slash ? (int)(slash - control + 1) : 0, control) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return unix_socket_connect(path, 0, &ret_fds[0]);
}

static int notify(char what)
{
	struct timespec now;

	if (what == '0' + BROKER_NOTIFY_READY)
		return sd_notify(0, "READY=1");
	if (what == '0' + BROKER_NOTIFY_STOPPING)
		return sd_notify(0, "STOPPING=1");
	/* sd_notify(3) requires the time with RELOADING. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64,
			  now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000);
}

/* In the process of a file sink. It has the configuration of the moment that it was made in, as the sink has.
 */
static int handle_writer(struct server *server, const char *request, int ret_fds[static FD_PASS_MAX])
{
	enum broker_request what = (enum broker_request)(unsigned char)request[0];

	if (what == BROKER_REQUEST_LINES)
		return act_if_named(server, what, request + 1, broker_file_open_lines, ret_fds);
	if (what == BROKER_REQUEST_ROTATE)
		return act_if_named(server, what, request + 1, broker_file_rotate, ret_fds);
	return -EINVAL;
}

static int open_writer(struct server *server, int ret_fds[static FD_PASS_MAX])
{
	_cleanup_close_ int ours = -1, theirs = -1;
	pid_t parent = getpid(), pid;
	int r = fd_pass_pair(&ours, &theirs);

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		ret_fds[0] = TAKE_FD(ours);
		return 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sandbox_close_descriptors(&theirs, 1);
	while (getppid() == parent && serve_one(server, theirs, handle_writer))
		;
	_exit(EXIT_SUCCESS);
}

static int handle_main(struct server *server, const char *request, int ret_fds[static FD_PASS_MAX])
{
	enum broker_request what = (enum broker_request)(unsigned char)request[0];
	const char *path = request + 1;

	switch (what) {
	case BROKER_REQUEST_CONFIG:
		return open_config(server, ret_fds);
	case BROKER_REQUEST_SECRET:
		return act_if_named(server, what, path, broker_file_open, ret_fds);
	case BROKER_REQUEST_LOG_ID:
		return act_if_named(server, what, path, broker_file_open_log_id, ret_fds);
	case BROKER_REQUEST_WRITER:
		return open_writer(server, ret_fds);
	case BROKER_REQUEST_LINES:
	case BROKER_REQUEST_ROTATE:
		return -EINVAL;
	case BROKER_REQUEST_SPOOL:
		return open_spool(server);
	case BROKER_REQUEST_CONNECT:
		return connect_link(server, ret_fds);
	case BROKER_REQUEST_NOTIFY:
		return notify(path[0]);
	}
	return -EINVAL;
}

/* A segment of the spool, or the spool itself: ".". Not its lock, with which a reader could lock out the next
 * daemon. */
static int handle_spool(struct server *server, const char *name, int ret_fds[static FD_PASS_MAX])
{
	int flags = strcmp(name, ".") == 0 ? O_DIRECTORY : O_NOFOLLOW, fd;
	unsigned int attempt;
	uint64_t first;

	if (strcmp(name, ".") != 0 && spool_name_parse(name, &first, &attempt) < 0)
		return -EPERM;
	/* Somebody removed or moved it, and the daemon makes it again. */
	if (server->spool_fd >= 0 &&
	    file_is_at(server->spool_fd, AT_FDCWD, server->config->spool_directory, 0) == 0)
		server->spool_fd = safe_close(server->spool_fd);
	if (server->spool_fd < 0) {
		int r = open_spool(server);

		if (r < 0)
			return r;
	}
	fd = openat(server->spool_fd, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	ret_fds[0] = fd;
	return 0;
}

/* ---- the process ---- */

/* Of root's capabilities, keeps those to read everything and to take on the uploader's user, as far as a
 * container has them. */
static int drop_capabilities(const struct sandbox_user *user)
{
	static const unsigned int kept[] = {CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_SETGID};
	bool have[ARRAY_SIZE(kept)];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!user->change)
		return sandbox_drop_capabilities();
	if (setgroups(0, NULL) < 0 || capng_get_caps_process() < 0)
		return -EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (have[i] &&
		    capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), kept[i]) < 0)
			return -EPERM;
	return capng_apply(CAPNG_SELECT_CAPS) != 0 ? -EPERM : 0;
}

void broker_serve(const struct broker_options *options, int socket_fd, int spool_socket_fd)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	struct server server = {
		.config = options->config,
		.user = options->user,
		.spool_fd = options->spool_fd,
		.inotify_fd = options->inotify_fd,
	};
	struct pollfd sockets[] = {{.fd = socket_fd, .events = POLLIN},
				   {.fd = spool_socket_fd, .events = POLLIN}};
	bool serving = true;

	/* It ends with the uploader, which may have something to open until then. */
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* reaps the writers */
	prctl(PR_SET_NAME, "netlogd-files");
	if (drop_capabilities(&server.user) < 0)
		return;
	(void)core_dump_forbid();
	while (serving) {
		if (poll(sockets, ARRAY_SIZE(sockets), -1) < 0) {
			serving = errno == EINTR;
			continue;
		}
		if (sockets[0].revents)
			serving = serve_one(&server, socket_fd, handle_main);
		if (serving && sockets[1].revents)
			serving = serve_one(&server, spool_socket_fd, handle_spool);
	}
	/* Requests that are still under way must fail, not wait. */
	safe_close(socket_fd);
	safe_close(spool_socket_fd);
	/* Waits for all writers together, since SIGCHLD is ignored. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}
