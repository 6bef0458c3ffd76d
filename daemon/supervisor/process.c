/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts the uploader with posix_spawn(): the daemon has threads, so nothing may run between fork and exec.
 * The child gets descriptors 3 (the socket) and 4 (the spool directory); all others are close-on-exec, so
 * that no BPF descriptor outlives the daemon.
 */

#include "daemon/supervisor/process.h"

#include "common/cleanup.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/program.h"
#include "common/thread.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAUSE_MIN_MS 200
#define PAUSE_MAX_MS 30000
#define STEADY_MS    10000 /* a child that lived this long resets the pause */
#define SETTLED_MS   1000  /* one that exits with 0 after this long is restarted at once */
#define EXIT_WAIT_MS 2000

struct uploader_process {
	struct event_base *base;
	struct uploader_process_options options;
	char *program;
	pid_t pid;
	int pidfd;
	struct event *exited;
	struct event *restart;
	int pause_ms;
	int64_t started; /* thread_now() */
	unsigned int restarts;
};

/* Beside the running program, or where the build puts it. */
static const char *const places[] = {"netlogd-upload", "upload/netlogd-upload", "../libexec/netlogd-upload"};

/*
 * dup2() clears close-on-exec, but not when both numbers are the same: so both descriptors are first moved
 * well above 4.
 */
static int spawn(struct uploader_process *process, int socket_fd, int spool_fd, pid_t *ret_pid)
{
	char *const arguments[] = {process->program,
				   (char *)"--config",
				   (char *)process->options.config_file,
				   (char *)"--fd",
				   (char *)"3",
				   (char *)"--spool-fd",
				   (char *)"4",
				   NULL};
	_cleanup_close_ int high_socket = fcntl(socket_fd, F_DUPFD_CLOEXEC, 10);
	_cleanup_close_ int high_spool = fcntl(spool_fd, F_DUPFD_CLOEXEC, 10);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	if (high_socket < 0 || high_spool < 0)
		return -EMFILE;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, high_socket, 3);
	posix_spawn_file_actions_adddup2(&actions, high_spool, 4);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	/* A group of its own: control-C in a terminal is for the daemon, which lets the uploader deliver. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	r = posix_spawn(ret_pid, process->program, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void forget_child(struct uploader_process *process)
{
	if (process->exited)
		event_free(TAKE_PTR(process->exited));
	process->pidfd = safe_close(process->pidfd);
	process->pid = 0;
}

static void on_exited(evutil_socket_t fd, short what, void *userdata);

/* *ret_what: what it was about, also on failure. */
static int start(struct uploader_process *process, const char **ret_what)
{
	_cleanup_close_ int ours = -1, theirs = -1, spool = -1;
	int pair[2], r;

	*ret_what = "the spool directory";
	spool = process->options.open_spool(process->options.userdata);
	if (spool < 0)
		return spool;
	*ret_what = process->program;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = spawn(process, theirs, spool, &process->pid);
	if (r < 0) {
		process->pid = 0;
		return r;
	}
	process->started = thread_now();
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	r = process->pidfd < 0 ? -errno : 0;
	if (r >= 0) {
		process->exited = event_new(process->base, process->pidfd, EV_READ, on_exited, process);
		if (!process->exited || event_add(process->exited, NULL) < 0)
			r = -ENOMEM;
	}
	if (r < 0) {
		kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		forget_child(process);
		return r;
	}
	process->options.started(TAKE_FD(ours), process->options.userdata);
	return 0;
}

static void start_later(struct uploader_process *process)
{
	struct timeval pause = {.tv_sec = process->pause_ms / 1000,
				.tv_usec = process->pause_ms % 1000 * 1000};

	evtimer_add(process->restart, &pause);
	process->pause_ms = MIN(process->pause_ms * 2, PAUSE_MAX_MS);
}

static void try_to_start(struct uploader_process *process)
{
	const char *what;
	int r = start(process, &what);

	if (r < 0) {
		log_warning("cannot start the uploader: %s: %s; trying again", what, strerror(-r));
		start_later(process);
	}
}

static void restart(struct uploader_process *process)
{
	process->restarts++;
	try_to_start(process);
}

static void on_restart(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	restart(userdata);
}

static void on_exited(evutil_socket_t fd, short what, void *userdata)
{
	struct uploader_process *process = userdata;
	int64_t lived_ms = (thread_now() - process->started) / 1000000;
	bool again = false;
	int status = -1;

	(void)fd;
	(void)what;
	if (waitpid(process->pid, &status, WNOHANG) == process->pid) {
		again = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_START_AGAIN;
		if (again || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
			log_info("uploader (process %d) exited cleanly; restarting it", (int)process->pid);
		else if (WIFSIGNALED(status))
			log_warning("uploader (process %d) killed by signal %d; restarting it",
				    (int)process->pid, WTERMSIG(status));
		else
			log_warning("uploader (process %d) exited with status %d; restarting it",
				    (int)process->pid, WEXITSTATUS(status));
	}
	forget_child(process);
	if (lived_ms > STEADY_MS)
		process->pause_ms = PAUSE_MIN_MS;
	/* One that asks for it has not failed, and sees to it that it does not ask all the time. */
	if (again && lived_ms > SETTLED_MS)
		try_to_start(process);
	else if (status == 0 && lived_ms > SETTLED_MS)
		restart(process);
	else
		start_later(process);
}

DEFINE_CLEANUP(struct uploader_process *, uploader_process_free);

int uploader_process_new(struct event_base *base, const struct uploader_process_options *options,
			 struct uploader_process **ret_process)
{
	_cleanup_(uploader_process_freep) struct uploader_process *process = calloc(1, sizeof(*process));

	if (!process)
		return -ENOMEM;
	process->base = base;
	process->options = *options;
	process->pidfd = -1;
	process->pause_ms = PAUSE_MIN_MS;
	process->program = program_find(places, ARRAY_SIZE(places));
	if (!process->program)
		return -ENOENT;
	process->restart = evtimer_new(base, on_restart, process);
	if (!process->restart)
		return -ENOMEM;
	try_to_start(process);
	*ret_process = TAKE_PTR(process);
	return 0;
}

void uploader_process_free(struct uploader_process *process)
{
	if (!process)
		return;
	if (process->pid > 0) {
		struct pollfd exited = {.fd = process->pidfd, .events = POLLIN};
		int n;

		kill(process->pid, SIGTERM);
		/* A signal to the daemon must not cut the child's time short. */
		do
			n = poll(&exited, 1, EXIT_WAIT_MS);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		forget_child(process);
	}
	if (process->restart)
		event_free(process->restart);
	free(process->program);
	free(process);
}

void uploader_process_set_config(struct uploader_process *process, const char *config_file)
{
	process->options.config_file = config_file;
}

pid_t uploader_process_pid(const struct uploader_process *process)
{
	return process->pid;
}

unsigned int uploader_process_restarts(const struct uploader_process *process)
{
	return process->restarts;
}
