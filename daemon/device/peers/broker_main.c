/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd-wg-broker: arguments, and the privileges that it gives up before it reads a byte. */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/core_dump.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/socket.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>

static const char usage[] =
	"usage: netlogd-wg-broker [--version] [--help] < CONNECTION\n"
	"\n"
	"Asks a userspace WireGuard for its peers on behalf of netlogd, reads their names from comments in\n" WG_NAMES_FOLDER
	"/INTERFACE.conf, and passes on no keys but public ones. systemd starts it for each connection to\n" WG_BROKER_SOCKET
	", which is its standard input.\n"
	"\n"
	"  --version       print the version and exit\n"
	"  --help          print this and exit\n";

/* 0: continue; otherwise the exit status plus one. */
static int parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};

	switch (getopt_long(argc, argv, "", options, NULL)) {
	case 'V':
		puts("netlogd-wg-broker " NETLOGD_VERSION);
		return 1 + EXIT_SUCCESS;
	case 'h':
		fputs(usage, stdout);
		return 1 + EXIT_SUCCESS;
	case -1:
		if (optind == argc)
			return 0;
	}
	fputs(usage, stderr);
	return 1 + EX_USAGE;
}

int main(int argc, char **argv)
{
	static const struct wg_broker_folders folders = {.sockets = WG_SOCKET_FOLDER,
							 .names = WG_NAMES_FOLDER};
	int r = parse_arguments(argc, argv), type;
	socklen_t size = sizeof(type);

	if (r > 0)
		return r - 1;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
		fputs("netlogd-wg-broker: standard input is not a connection\n", stderr);
		return EX_USAGE;
	}
	/* Keys are in its memory for a moment. */
	r = core_dump_forbid();
	if (r < 0) {
		fprintf(stderr, "netlogd-wg-broker: cannot disable core dumps: %s\n", strerror(-r));
		return EX_OSERR;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	r = wg_broker_serve(STDIN_FILENO, &folders);
	if (r < 0)
		fprintf(stderr, "netlogd-wg-broker: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
