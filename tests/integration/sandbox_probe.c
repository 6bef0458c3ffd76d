/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into the uploader, this tries what an attacker who has taken it over would try: at SIGUSR1, from
 * inside the running process, with one line per attempt on standard error. PROBE_FILES and PROBE_SOCKETS are
 * paths, separated by colons; PROBE_PARENT comes from getppid().
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void tell(const char *what, const char *which, long result)
{
	char line[4096];
	int n = snprintf(line, sizeof(line), "probe %s %s: %s\n", what, which,
			 result >= 0 ? "done" : strerrorname_np(errno));

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(1);
}

static void each(const char *variable, void (*try)(const char *path))
{
	char *copy = strdup(getenv(variable) ?: ""), *rest = copy, *path;

	while ((path = strsep(&rest, ":")))
		if (*path)
			try(path);
	free(copy);
}

static void try_file(const char *path)
{
	tell("read", path, open(path, O_RDONLY | O_CLOEXEC));
	tell("write", path, open(path, O_WRONLY | O_CLOEXEC));
}

static void try_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static const char reconfig[] =
		"{\"method\":\"org.netlogd.control.Reconfig\",\"parameters\":{\"routes\":"
		"{\"localAddrs\":[],\"routes\":[],\"subnetRoutes\":[]}}}";
	socklen_t length = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[256];

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (*path == '@') {
		address.sun_path[0] = '\0';
		length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0) {
		tell("connect", path, -1);
		return;
	}
	tell("connect", path, 0);
	if (strstr(path, "control") && write(fd, reconfig, sizeof(reconfig)) > 0 &&
	    read(fd, answer, sizeof(answer)) > 0)
		tell("reconfig", path, strstr(answer, "error") ? -1 : 0);
}

/* Asks on every SOCK_SEQPACKET socket of the process, one of which is the broker's. */
static void ask(const char *question)
{
	for (int fd = 3; fd < 64; fd++) {
		int type = 0;
		socklen_t length = sizeof(type);
		int32_t result;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_SEQPACKET)
			continue;
		if (send(fd, question, strlen(question), MSG_NOSIGNAL) < 0 || recv(fd, &result, 4, 0) != 4)
			continue;
		errno = result < 0 ? -result : 0;
		tell("ask", question, result);
	}
}

static void on_signal(int number)
{
	pid_t parent = getppid();
	char path[64];
	int pair[2];

	(void)number;
	each("PROBE_FILES", try_file);
	each("PROBE_SOCKETS", try_socket);
	for (const char *const *entry = (const char *const[]){"mem", "environ", "fd", NULL}; *entry;
	     entry++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)parent, *entry);
		tell("parent", *entry, open(path, O_RDONLY | O_CLOEXEC));
	}
	tell("call", "socketpair-datagram", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	tell("call", "setuid", setuid(0));
	tell("call", "setresuid", setresuid(0, 0, 0));
	tell("call", "setgid", setgid(0));
	tell("call", "kill", kill(parent, 0));
	tell("call", "io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
	tell("call", "pidfd_open", syscall(SYS_pidfd_open, parent, 0));
	tell("call", "pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0));
	tell("call", "set_dumpable", prctl(PR_SET_DUMPABLE, 1));
	for (const char *const *question =
		     (const char *const[]){"s/etc/shadow", "l/etc/shadow", "i/etc/shadow", "/etc/shadow",
					   "..", "../lock", NULL};
	     *question; question++)
		ask(*question);
	tell("call", "end", 0);
}

__attribute__((constructor)) static void wait_for_signal(void)
{
	if (strcmp(program_invocation_short_name, "netlogd-upload") == 0)
		signal(SIGUSR1, on_signal);
}
