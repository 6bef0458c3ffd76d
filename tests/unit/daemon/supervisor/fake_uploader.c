/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In place of netlogd-upload: says on descriptor 3 how it was started ("CONFIG-FILE GROUP MASKED OPEN"), then
 * exits with the status that it reads there or kills itself on 'k'. On 'i' it ignores
 * SIGTERM from then on.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors above 2, each as a digit; "?" for one above 9. */
static void list_open(char *text)
{
	for (int fd = 3; fd < 256; fd++) {
		struct stat status;

		if (fstat(fd, &status) == 0)
			*text++ = fd < 10 ? (char)('0' + fd) : '?';
	}
	*text = '\0';
}

int main(int argc, char *argv[])
{
	struct stat spool;
	char open_fds[256], command = '\0', text[512];
	sigset_t mask;
	int n;

	if (argc != 7 || strcmp(argv[1], "--config") != 0 || strcmp(argv[3], "--fd") != 0 ||
	    strcmp(argv[4], "3") != 0 || strcmp(argv[5], "--spool-fd") != 0 || strcmp(argv[6], "4") != 0)
		return 100;
	if (fstat(4, &spool) < 0 || !S_ISDIR(spool.st_mode))
		return 101;
	list_open(open_fds);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	n = snprintf(text, sizeof(text), "%s %s %s %s", argv[2], getpgrp() == getpid() ? "own" : "shared",
		     sigismember(&mask, SIGUSR1) ? "masked" : "clear", open_fds);
	if (write(3, text, (size_t)n) != n)
		return 102;
	for (;;) {
		struct pollfd socket = {.fd = 3, .events = POLLIN};
		ssize_t got;

		if (poll(&socket, 1, -1) < 0)
			continue;
		got = read(3, &command, 1);

		if (got == 0)
			return 103;
		if (got < 0)
			continue;
		if (command == 'k')
			kill(getpid(), SIGKILL);
		if (command == 'i') {
			signal(SIGTERM, SIG_IGN);
			if (write(3, "ignored", 7) != 7)
				return 104;
			continue;
		}
		return command - '0';
	}
}
