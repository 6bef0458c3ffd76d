/* SPDX-License-Identifier: BSD-3-Clause */
/* The uploader's side of the broker: starting it, and asking. */

#include "daemon/upload/broker/internal.h"

#include "common/config/config.h"
#include "common/fd_pass.h"
#include "common/file.h"
#include "daemon/upload/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What it holds open (a file system, for example) is free when the uploader has ended. */
#define END_WAIT_MS 1000

struct broker {
	pid_t pid;
	int pidfd; /* -1: the kernel has none */
	int socket_fd;
	int spool_socket_fd;
	pthread_mutex_t lock; /* one question at a time */
};

int broker_socket_pair(int *ret_ours, int *ret_theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

static _Noreturn void run(const struct broker_options *options, pid_t parent, int socket_fd,
			  int spool_socket_fd)
{
	const int keep[] = {socket_fd, spool_socket_fd, options->spool_fd, options->inotify_fd};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sandbox_close_descriptors(keep, ARRAY_SIZE(keep));
	if (getppid() == parent)
		broker_serve(options, socket_fd, spool_socket_fd);
	_exit(EXIT_SUCCESS);
}

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
	r = broker_socket_pair(&broker->socket_fd, &theirs);
	if (r == 0)
		r = broker_socket_pair(&broker->spool_socket_fd, &spool_theirs);
	if (r < 0)
		return r;
	broker->pid = fork();
	if (broker->pid < 0)
		return -errno;
	if (broker->pid == 0)
		run(options, parent, theirs, spool_theirs);
	broker->pidfd = (int)syscall(SYS_pidfd_open, broker->pid, 0);
	*ret_broker = TAKE_PTR(broker);
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	/* Nobody asks any more: it ends, with its writers, unless one hangs. */
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

	return poll(&other, 1, 0) == 0;
}

static int ask_on(int socket_fd, enum broker_question what, const char *path, int ret_fds[static FD_PASS_MAX])
{
	char question[FD_PASS_QUESTION_MAX];
	int n = snprintf(question, sizeof(question), "%c%s", what, path);

	if (n >= (int)sizeof(question))
		return -ENAMETOOLONG;
	return fd_ask(socket_fd, question, (size_t)n, ret_fds);
}

static int ask(struct broker *broker, enum broker_question what, const char *path,
	       int ret_fds[static FD_PASS_MAX])
{
	int r;

	pthread_mutex_lock(&broker->lock);
	r = ask_on(broker->socket_fd, what, path, ret_fds);
	pthread_mutex_unlock(&broker->lock);
	return r;
}

static int ask_for_one(struct broker *broker, enum broker_question what, const char *path)
{
	int fds[FD_PASS_MAX], r = ask(broker, what, path, fds);

	return r < 0 ? r : fds[0];
}

int broker_open_config(struct broker *broker, const char *path)
{
	return broker ? ask_for_one(broker, BROKER_CONFIG, "") : broker_do_open(AT_FDCWD, path, O_RDONLY);
}

int broker_open_secret(struct broker *broker, const char *path)
{
	return broker ? ask_for_one(broker, BROKER_SECRET, path) : broker_do_open(AT_FDCWD, path, O_RDONLY);
}

int broker_open_log_id(struct broker *broker, const char *path)
{
	return broker ? ask_for_one(broker, BROKER_LOG_ID, path) : broker_do_log_id(AT_FDCWD, path, 0);
}

int broker_connect(struct broker *broker)
{
	return ask_for_one(broker, BROKER_CONNECT, "");
}

int broker_open_spool(struct broker *broker, bool *ret_watched)
{
	int fds[FD_PASS_MAX], fd, r = ask(broker, BROKER_SPOOL, "", fds);

	if (r < 0)
		return r;
	fd = fcntl(broker->spool_socket_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_watched = r > 0;
	return fd;
}

int broker_open_writer(struct broker *broker)
{
	return ask_for_one(broker, BROKER_WRITER, "");
}

int broker_open_lines(int writer_fd, const char *path, int *ret_fd, int *ret_directory_fd)
{
	int fds[FD_PASS_MAX], r;

	if (writer_fd < 0)
		return broker_do_lines(AT_FDCWD, path, 0, ret_fd, ret_directory_fd);
	r = ask_on(writer_fd, BROKER_LINES, path, fds);
	if (r < 0)
		return r;
	*ret_fd = fds[0];
	*ret_directory_fd = fds[1];
	return 0;
}

int broker_rotate_lines(int writer_fd, const char *path)
{
	int fds[FD_PASS_MAX];

	return writer_fd < 0 ? broker_do_rotate(AT_FDCWD, path, BROKER_ROTATE_COUNT)
			     : ask_on(writer_fd, BROKER_ROTATE, path, fds);
}

void broker_notify(struct broker *broker, enum broker_notification what)
{
	const char digit[] = {(char)('0' + what), '\0'};
	int fds[FD_PASS_MAX];

	(void)ask(broker, BROKER_NOTIFY, digit, fds);
}
