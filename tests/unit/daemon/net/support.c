/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/daemon/net/support.h"

#include "tests/unit/scratch.h"

#include <check.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void ip(const char *arguments)
{
	char command[256] = "ip ", *words[32] = {NULL}, *rest = NULL;
	size_t n = 0;
	pid_t child;
	int status;

	strncat(command, arguments, sizeof(command) - strlen(command) - 1);
	for (char *word = strtok_r(command, " ", &rest); word && n < 31; word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	ck_assert_int_eq(posix_spawnp(&child, "ip", NULL, NULL, words, environ), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "ip %s", arguments);
}

void write_sysctl(const char *path, const char *value)
{
	FILE *file = fopen(path, "we");

	ck_assert_msg(file != NULL, "%s", path);
	fputs(value, file);
	ck_assert_int_eq(fclose(file), 0);
}

void network_setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ip("link set lo up");
	ip("link add tun0 type veth peer name tun1");
	ip("link set tun1 up");
	ip("link set tun0 addrgenmode none");
	ip("address add 100.64.0.1/24 dev tun0");
	ip("address add fd7a::1/64 dev tun0 nodad");
	ip("link set tun0 up");
	ip("link add lan0 type veth peer name lan1");
	ip("link set lan1 up");
	ip("link set lan0 addrgenmode none");
	ip("address add 192.168.7.1/24 dev lan0");
	ip("link set lan0 up");
}

void add_many_routes(void)
{
	char path[SCRATCH_MAX], command[SCRATCH_MAX + 8];
	int fd = scratch_make_file(path);

	for (int i = 0; i < 5000; i++)
		dprintf(fd, "route add 10.%d.%d.0/24 dev %s\n", i / 250, i % 250, i % 2 ? "tun0" : "lan0");
	close(fd);
	snprintf(command, sizeof(command), "-batch %s", path);
	ip(command);
}
