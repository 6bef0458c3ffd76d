/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd: arguments, configuration, and the daemon. */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/config/config.h"
#include "common/core_dump.h"
#include "common/log.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define LARGE_BLOCK (128 * 1024) /* bytes: what is mapped by itself, and given back when freed */

#define CONFIG_DEFAULT "/etc/netlogd/netlogd.conf"

static const char usage[] =
	"usage: netlogd [--config FILE] [--no-uploader] [--check-config] [--version] [--help]\n"
	"\n"
	"Counts every connection that crosses a VPN tunnel of this machine, keeps the counts\n"
	"of each window as a message on disk, and has them delivered to collectors.\n"
	"\n"
	"  --config FILE    configuration (default " CONFIG_DEFAULT ")\n"
	"  --no-uploader    do not start netlogd-upload: it is a service of its own\n"
	"  --check-config   read the configuration, say what is wrong with it, and exit\n"
	"  --version        print the version and exit\n"
	"  --help           print this and exit\n"
	"\n"
	"Runs in the foreground. SIGHUP reads the configuration again; SIGTERM and SIGINT stop in order.\n"
	"Exit status: 0 stopped in order, 1 failed, 64 wrong usage, 78 wrong configuration.\n";

struct arguments {
	const char *config;
	bool no_uploader;
	bool check_config;
	bool done; /* answered already */
};

/* 0, or the exit status of a wrong usage. */
static int parse_arguments(int argc, char **argv, struct arguments *ret_arguments)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"no-uploader", no_argument, NULL, 'n'},
		{"check-config", no_argument, NULL, 't'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	struct arguments arguments = {.config = CONFIG_DEFAULT};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'c') {
			arguments.config = optarg;
		} else if (c == 'n') {
			arguments.no_uploader = true;
		} else if (c == 't') {
			arguments.check_config = true;
		} else if (c == 'V') {
			puts("netlogd " NETLOGD_VERSION);
			arguments.done = true;
		} else if (c == 'h') {
			fputs(usage, stdout);
			arguments.done = true;
		} else {
			fputs("try: netlogd --help\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "netlogd: unexpected argument: %s\ntry: netlogd --help\n", argv[optind]);
		return EX_USAGE;
	}
	*ret_arguments = arguments;
	return 0;
}

static int load(const char *file, struct config **ret_config)
{
	_cleanup_free_ char *text = NULL;
	struct config_error error = {};
	int r = config_load(file, ret_config, &error);

	if (r >= 0)
		return 0;
	text = config_error_text(&error);
	log_error("%s", text ? text : strerror(-r));
	config_error_deinit(&error);
	return EX_CONFIG;
}

static int run(struct config *config, bool no_uploader)
{
	struct daemon_options options = {.config = config, .external_uploader = no_uploader};
	struct daemon *daemon;
	int r;

	/*
	 * Loading programs takes megabytes for a moment. Left to itself, the allocator takes their first
	 * return for a reason to keep the next.
	 */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	log_set_level(config->log_level);
	/* Log IDs that Start hands over pass through this process. */
	r = core_dump_forbid();
	if (r < 0)
		log_warning("core dumps can't be turned off: %s", strerror(-r));
	r = daemon_new(&options, &daemon);
	if (r < 0)
		return EXIT_FAILURE;
	r = daemon_run(daemon);
	daemon_free(daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	struct config *config;
	int status = parse_arguments(argc, argv, &arguments);

	if (status || arguments.done)
		return status;
	status = load(arguments.config, &config);
	if (status)
		return status;
	if (arguments.check_config) {
		config_free(config);
		return EXIT_SUCCESS;
	}
	return run(config, arguments.no_uploader);
}
