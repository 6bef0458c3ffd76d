/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities belong to threads: this one clears its ambient set, so that a program that it starts begins
 * with none unless the user is root, who gives them up in the helper. posix_spawn(), since the daemon has
 * threads, and all descriptors are close-on-exec.
 */

#include "daemon/device/tailscale/helper.h"

#include "build-config.h"
#include "common/program.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PAUSE_MIN (NSEC_PER_SEC / 5)
#define PAUSE_MAX (30 * NSEC_PER_SEC)
#define STEADY	  (10 * NSEC_PER_SEC) /* one that lived this long resets the pause */

struct tailscale_helper {
	char *program, *socket;
	pid_t pid;
	int fd;
	int64_t started, next, pause; /* boot time, ns */
};

int tailscale_helper_new(const char *program, const char *socket, struct tailscale_helper **ret_helper)
{
	static const char *const places[] = {"netlogd-tailscale", "tailscale/netlogd-tailscale",
					     "../libexec/netlogd-tailscale",
					     NETLOGD_LIBEXECDIR "/netlogd-tailscale"};
	_cleanup_(tailscale_helper_freep) struct tailscale_helper *helper = calloc(1, sizeof(*helper));

	if (!helper)
		return -ENOMEM;
	helper->fd = -1;
	helper->pause = PAUSE_MIN;
	helper->socket = strdup(socket);
	helper->program = program ? strdup(program) : program_find(places, ARRAY_SIZE(places));
	if (!helper->socket)
		return -ENOMEM;
	if (!helper->program)
		return -ENOENT;
	*ret_helper = TAKE_PTR(helper);
	return 0;
}

void tailscale_helper_give_up(struct tailscale_helper *helper)
{
	int64_t now = time_now_boot();

	helper->fd = safe_close(helper->fd);
	if (helper->pid <= 0)
		return;
	kill(helper->pid, SIGKILL);
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	helper->pid = 0;
	if (now - helper->started > STEADY)
		helper->pause = PAUSE_MIN;
	helper->next = now + helper->pause;
	helper->pause = MIN(helper->pause * 2, PAUSE_MAX);
}

void tailscale_helper_free(struct tailscale_helper *helper)
{
	if (!helper)
		return;
	tailscale_helper_give_up(helper);
	free(helper->program);
	free(helper->socket);
	free(helper);
}

static int spawn(struct tailscale_helper *helper, int fd)
{
	char *const arguments[] = {helper->program, (char *)"--socket", helper->socket, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	/* A group of its own: control-C in a terminal is for the daemon. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	r = posix_spawn(&helper->pid, helper->program, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		helper->pid = 0;
	return -r;
}

static int start(struct tailscale_helper *helper)
{
	_cleanup_close_ int ours = -1, theirs = -1, high = -1;
	int64_t now = time_now_boot();
	int pair[2], r;

	if (now < helper->next)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	/* dup2() clears close-on-exec, but not when both numbers are the same. */
	high = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
	r = high < 0 ? -errno : spawn(helper, high);
	if (r < 0) {
		helper->next = now + helper->pause;
		helper->pause = MIN(helper->pause * 2, PAUSE_MAX);
		return r;
	}
	helper->started = now;
	helper->fd = TAKE_FD(ours);
	return 0;
}

int tailscale_helper_ask(struct tailscale_helper *helper, uint64_t number)
{
	bool begun = helper->fd < 0;
	char line[32];
	int n, r = begun ? start(helper) : 0;

	if (r < 0)
		return r;
	n = snprintf(line, sizeof(line), "read %llu\n", (unsigned long long)number);
	/* It takes requests whenever it has nothing to write: with room for none, it hangs. */
	if (send(helper->fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
		tailscale_helper_give_up(helper);
		return -EPIPE;
	}
	return begun;
}

ssize_t tailscale_helper_read(struct tailscale_helper *helper, int64_t deadline, char *buffer, size_t size)
{
	while (helper->fd >= 0) {
		struct pollfd readable = {.fd = helper->fd, .events = POLLIN};
		int64_t left = deadline - time_now_boot();
		int wait_ms = left > 0 ? (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC) : 0;
		ssize_t n = recv(helper->fd, buffer, size, MSG_DONTWAIT);

		if (n > 0)
			return n;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (left <= 0)
			return 0;
		poll(&readable, 1, wait_ms);
	}
	tailscale_helper_give_up(helper);
	return -EPIPE;
}

pid_t tailscale_helper_pid(const struct tailscale_helper *helper)
{
	return helper->pid;
}
