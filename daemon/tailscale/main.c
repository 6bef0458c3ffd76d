/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd-tailscale: arguments, and the rights that it gives up before it reads a byte. */

#include "build-config.h"
#include "common/cleanup.h"
#include "daemon/tailscale/confine.h"
#include "daemon/tailscale/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

static const char usage[] =
	"usage: netlogd-tailscale --socket PATH [--version] [--help] < CONNECTION\n"
	"\n"
	"Reads the peers of Tailscale for netlogd, which starts it and is connected to its standard input.\n"
	"\n"
	"  --socket PATH   the socket of tailscaled's local API\n"
	"  --version       print the version and exit\n"
	"  --help          print this and exit\n";

/* 0: continue; otherwise the exit status plus one. */
static int parse_arguments(int argc, char **argv, const char **ret_socket)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 's':
			*ret_socket = optarg;
			break;
		case 'V':
			puts("netlogd-tailscale " NETLOGD_VERSION);
			return 1 + EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return 1 + EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 1 + EX_USAGE;
		}
	}
	if (*ret_socket && optind == argc)
		return 0;
	fputs(usage, stderr);
	return 1 + EX_USAGE;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	int r = parse_arguments(argc, argv, &path), type;
	socklen_t size = sizeof(type);

	if (r > 0)
		return r - 1;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
		fputs("netlogd-tailscale: standard input is not a connection\n", stderr);
		return EX_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	/* It waits while the daemon is busy. */
	fcntl(STDIN_FILENO, F_SETFL, 0);
	r = confine();
	if (r < 0) {
		fprintf(stderr, "netlogd-tailscale: cannot give up its capabilities: %s\n", strerror(-r));
		return EX_NOPERM;
	}
	r = serve(STDIN_FILENO, path);
	if (r < 0)
		fprintf(stderr, "netlogd-tailscale: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
