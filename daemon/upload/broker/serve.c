/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker's process: a question, a look at what the configuration names, a descriptor. It keeps the rights
 * that it was started with, as far as opening files takes them, and does nothing else.
 */

#include "daemon/upload/broker/internal.h"

#include "common/config/config.h"
#include "common/core_dump.h"
#include "common/fd_pass.h"
#include "common/file.h"
#include "common/spool/format.h"
#include "common/unix_socket.h"
#include "daemon/upload/sandbox/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
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

/* What is done in a place, with the descriptors that it gives. */
typedef int (*act_fn)(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX]);

static int act_open(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	int fd = broker_do_open(directory_fd, path, O_RDONLY | flags);

	if (fd >= 0)
		ret_fds[0] = fd;
	return MIN(fd, 0);
}

static int act_log_id(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	int fd = broker_do_log_id(directory_fd, path, flags);

	if (fd >= 0)
		ret_fds[0] = fd;
	return MIN(fd, 0);
}

static int act_lines(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	return broker_do_lines(directory_fd, path, flags, &ret_fds[0], &ret_fds[1]);
}

static int act_rotate(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	(void)flags;
	(void)ret_fds;
	return broker_do_rotate(directory_fd, path, BROKER_ROTATE_COUNT);
}

/* The configuration may hold secrets. A change of the user lets the kernel forget that it was forbidden. */
static void forbid_dumps(void)
{
	(void)core_dump_forbid();
}

static int act_at(const struct server *server, const char *path, act_fn act, int ret_fds[static FD_PASS_MAX])
{
	struct broker_place place;
	int r = broker_find(&server->user, path, &place);

	if (r < 0)
		return r;
	if (place.theirs)
		r = sandbox_user_assume(&server->user);
	if (r == 0)
		r = act(place.directory_fd, place.path, place.theirs ? 0 : O_NOFOLLOW, ret_fds);
	if (place.theirs) {
		sandbox_user_restore(&server->user);
		forbid_dumps();
	}
	broker_place_deinit(&place);
	return r;
}

static bool equal(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

static bool is_named(const struct config *config, enum broker_question what, const char *path)
{
	if (what == BROKER_LOG_ID)
		return equal(config->log_id_file, path) || equal(config->domain_log_id_file, path);
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];

		if (what != BROKER_SECRET) {
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

static int act_if_named(const struct server *server, enum broker_question what, const char *path, act_fn act,
			int ret_fds[static FD_PASS_MAX])
{
	return is_named(server->config, what, path) ? act_at(server, path, act, ret_fds) : -EPERM;
}

/* Both sides read it, and take the same from it. */
static int open_config(struct server *server, int ret_fds[static FD_PASS_MAX])
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_free_ char *text = NULL;
	struct config *config;
	size_t size;
	int r = act_at(server, server->config->file, act_open, ret_fds);

	if (r < 0)
		return r;
	r = file_read_fd(ret_fds[0], CONFIG_SIZE_MAX, &text, &size, NULL);
	if (r == 0 && config_parse(server->config->file, text, size, &config, &error) == 0) {
		config_free(server->newer);
		server->config = server->newer = config;
	}
	return lseek(ret_fds[0], 0, SEEK_SET) < 0 ? -errno : 0;
}

/* 1 when it is watched, too. */
static int open_spool(struct server *server)
{
	const char *path = server->config->spool_directory;

	if (server->spool_fd < 0)
		server->spool_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server->spool_fd < 0)
		return -errno;
	return server->inotify_fd >= 0 &&
	       inotify_add_watch(server->inotify_fd, path,
				 IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0;
}

/* upload.sock, beside the control socket. */
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

	if (what == '0' + BROKER_READY)
		return sd_notify(0, "READY=1");
	if (what == '0' + BROKER_STOPPING)
		return sd_notify(0, "STOPPING=1");
	/* sd_notify(3) wants the time in RELOADING. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64,
			  now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000);
}

static int serve_one(struct server *server, int fd,
		     int (*handle)(struct server *server, const char *question,
				   int ret_fds[static FD_PASS_MAX]));

/* For a file sink. Its process has the configuration of the moment, as the sink has. */
static int handle_writer(struct server *server, const char *question, int ret_fds[static FD_PASS_MAX])
{
	enum broker_question what = (enum broker_question)(unsigned char)question[0];

	if (what == BROKER_LINES)
		return act_if_named(server, what, question + 1, act_lines, ret_fds);
	return what == BROKER_ROTATE ? act_if_named(server, what, question + 1, act_rotate, ret_fds)
				     : -EINVAL;
}

static int open_writer(struct server *server, int ret_fds[static FD_PASS_MAX])
{
	_cleanup_close_ int ours = -1, theirs = -1;
	pid_t parent = getpid(), pid;
	int r = broker_socket_pair(&ours, &theirs);

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

static int handle(struct server *server, const char *question, int ret_fds[static FD_PASS_MAX])
{
	enum broker_question what = (enum broker_question)(unsigned char)question[0];
	const char *path = question + 1;

	switch (what) {
	case BROKER_CONFIG:
		return open_config(server, ret_fds);
	case BROKER_SECRET:
		return act_if_named(server, what, path, act_open, ret_fds);
	case BROKER_LOG_ID:
		return act_if_named(server, what, path, act_log_id, ret_fds);
	case BROKER_WRITER:
		return open_writer(server, ret_fds);
	case BROKER_LINES:
	case BROKER_ROTATE:
		return -EINVAL;
	case BROKER_SPOOL:
		return open_spool(server);
	case BROKER_CONNECT:
		return connect_link(server, ret_fds);
	case BROKER_NOTIFY:
		return notify(path[0]);
	}
	return -EINVAL;
}

/* A segment of the spool, or the spool itself: ".". Not its lock, with which a reader could keep the next
 * collector out. */
static int handle_spool(struct server *server, const char *name, int ret_fds[static FD_PASS_MAX])
{
	int flags = strcmp(name, ".") == 0 ? O_DIRECTORY : O_NOFOLLOW, fd;
	unsigned int attempt;
	uint64_t first;

	if (strcmp(name, ".") != 0 && spool_name_parse(name, &first, &attempt) < 0)
		return -EPERM;
	fd = openat(server->spool_fd, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	ret_fds[0] = fd;
	return 0;
}

/* Of root's rights only that to read, and to be the uploader's user for a while; as far as a container has
 * them. */
static int keep_little(const struct sandbox_user *user)
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

/* 0 when nobody asks any more. */
static int serve_one(struct server *server, int fd,
		     int (*handle_question)(struct server *server, const char *question,
					    int ret_fds[static FD_PASS_MAX]))
{
	char question[FD_PASS_QUESTION_MAX + 1];
	int fds[FD_PASS_MAX] = {-1, -1};
	int r = fd_next_question(fd, question);

	if (r <= 0)
		return 0;
	r = handle_question(server, question, fds);
	r = fd_answer(fd, r, fds);
	safe_close(fds[0]);
	safe_close(fds[1]);
	return r == 0;
}

/* Until nobody asks any more. */
static void serve(struct server *server, struct pollfd *asked, nfds_t n)
{
	for (;;) {
		if (poll(asked, n, -1) < 0 && errno != EINTR)
			return;
		for (nfds_t i = 0; i < n; i++)
			if (asked[i].revents &&
			    !serve_one(server, asked[i].fd, i == 1 ? handle_spool : handle))
				return;
	}
}

void broker_serve(const struct broker_options *options, int socket_fd, int spool_socket_fd)
{
	struct server server = {
		.config = options->config,
		.user = options->user,
		.spool_fd = options->spool_fd,
		.inotify_fd = options->inotify_fd,
	};
	struct pollfd asked[] = {{.fd = socket_fd, .events = POLLIN},
				 {.fd = spool_socket_fd, .events = POLLIN}};

	/* It ends with the uploader, which may have something to open until then. */
	signal(SIGCHLD, SIG_IGN); /* nobody waits for writers */
	for (const int *number = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGPIPE, 0}; *number; number++)
		signal(*number, SIG_IGN);
	prctl(PR_SET_NAME, "netlogd-files");
	if (keep_little(&server.user) < 0)
		return;
	forbid_dumps();
	serve(&server, asked, ARRAY_SIZE(asked));
	/* Whoever still asks hears that nobody answers. */
	safe_close(socket_fd);
	safe_close(spool_socket_fd);
	/* Children that are not to be waited for (SIGCHLD is ignored) are waited for as a whole. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}
