/* SPDX-License-Identifier: BSD-3-Clause */
/* The uploader's side of the broker: starts it and sends requests. */

#include "daemon/upload/broker/broker.h"

#include "common/fd_pass.h"
#include "daemon/upload/broker/files.h"
#include "daemon/upload/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* For the broker to end, so that what it holds open (a file system, for example) is free afterwards. */
#define END_WAIT_MS 1000

struct broker {
	pid_t pid;
	int pidfd; /* -1: the kernel has none */
	int socket_fd;
	int spool_socket_fd;
	pthread_mutex_t lock; /* one request at a time */
};

int broker_new(const struct broker_options *options, struct broker **ret_broker)
{
	_cleanup_(broker_freep) struct broker *broker = calloc(1, sizeof(*broker));
	_cleanup_close_ int theirs = -1, spool_theirs = -1;
	pid_t parent = getpid();
	int r;

	if (!broker)
		return -ENOMEM;
	pthread_mutex_init(&broker->lock, NULL);
	broker->socket_fd = broker->spool_socket_fd = broker->pidfd = -1;
	r = fd_pass_pair(&broker->socket_fd, &theirs);
	if (r == 0)
		r = fd_pass_pair(&broker->spool_socket_fd, &spool_theirs);
	if (r < 0)
		return r;
	broker->pid = fork();
	if (broker->pid < 0)
		return -errno;
	if (broker->pid == 0) {
		const int keep[] = {theirs, spool_theirs, options->spool_fd, options->inotify_fd};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sandbox_close_descriptors(keep, ARRAY_SIZE(keep));
		/* The uploader may have ended before the signal was set. */
		if (getppid() == parent)
			broker_serve(options, theirs, spool_theirs);
		_exit(EXIT_SUCCESS);
	}
	broker->pidfd = (int)syscall(SYS_pidfd_open, broker->pid, 0);
	*ret_broker = TAKE_PTR(broker);
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	/* No more requests: it ends, with its writers, unless one hangs. */
	safe_close(broker->socket_fd);
	safe_close(broker->spool_socket_fd);
	if (broker->pidfd >= 0)
		(void)poll(&(struct pollfd){.fd = broker->pidfd, .events = POLLIN}, 1, END_WAIT_MS);
	safe_close(broker->pidfd);
	pthread_mutex_destroy(&broker->lock);
	free(broker);
}

bool broker_is_alive(const struct broker *broker)
{
	struct pollfd other = {.fd = broker->spool_socket_fd};

	/* Not that it could not be asked. */
	return poll(&other, 1, 0) <= 0;
}

static int send_request(int socket_fd, enum broker_request what, const char *path,
			int ret_fds[static FD_PASS_MAX])
{
	char request[FD_PASS_REQUEST_MAX];
	int n = snprintf(request, sizeof(request), "%c%s", what, path);

	if (n >= (int)sizeof(request))
		return -ENAMETOOLONG;
	return fd_pass_request(socket_fd, request, (size_t)n, ret_fds);
}

static int ask(struct broker *broker, enum broker_request what, const char *path,
	       int ret_fds[static FD_PASS_MAX])
{
	int r;

	pthread_mutex_lock(&broker->lock);
	r = send_request(broker->socket_fd, what, path, ret_fds);
	pthread_mutex_unlock(&broker->lock);
	return r;
}

/* A single descriptor: from the broker, or opened here if there is none. */
static int open_one(struct broker *broker, enum broker_request what, const char *path,
		    broker_file_fn *open_here)
{
	int fds[FD_PASS_MAX] = {-1, -1};
	int r = broker ? ask(broker, what, path, fds) : open_here(AT_FDCWD, path, 0, fds);

	return r < 0 ? r : fds[0];
}

int broker_open_config(struct broker *broker, const char *path)
{
	return open_one(broker, BROKER_REQUEST_CONFIG, path, broker_file_open);
}

int broker_open_secret(struct broker *broker, const char *path)
{
	return open_one(broker, BROKER_REQUEST_SECRET, path, broker_file_open);
}

int broker_open_log_id(struct broker *broker, const char *path)
{
	return open_one(broker, BROKER_REQUEST_LOG_ID, path, broker_file_open_log_id);
}

int broker_connect(struct broker *broker)
{
	return open_one(broker, BROKER_REQUEST_CONNECT, "", NULL);
}

int broker_open_writer(struct broker *broker)
{
	return open_one(broker, BROKER_REQUEST_WRITER, "", NULL);
}

int broker_open_spool(struct broker *broker, bool *ret_watched)
{
	int fds[FD_PASS_MAX], fd, r = ask(broker, BROKER_REQUEST_SPOOL, "", fds);

	if (r < 0)
		return r;
	fd = fcntl(broker->spool_socket_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_watched = r > 0;
	return fd;
}

int broker_open_lines(int writer_fd, const char *path, int *ret_fd, int *ret_directory_fd)
{
	int fds[FD_PASS_MAX];
	int r = writer_fd < 0 ? broker_file_open_lines(AT_FDCWD, path, 0, fds)
			      : send_request(writer_fd, BROKER_REQUEST_LINES, path, fds);

	if (r < 0)
		return r;
	*ret_fd = fds[0];
	*ret_directory_fd = fds[1];
	return 0;
}

int broker_rotate_lines(int writer_fd, const char *path)
{
	int fds[FD_PASS_MAX];

	return writer_fd < 0 ? broker_file_rotate(AT_FDCWD, path, 0, fds)
			     : send_request(writer_fd, BROKER_REQUEST_ROTATE, path, fds);
}

void broker_notify(struct broker *broker, enum broker_notification what)
{
	const char digit[] = {(char)('0' + what), '\0'};
	int fds[FD_PASS_MAX];

	(void)ask(broker, BROKER_REQUEST_NOTIFY, digit, fds);
}
