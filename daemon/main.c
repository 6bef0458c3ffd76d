/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd: arguments, configuration, and the daemon. */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/core_dump.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "daemon/check.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define LARGE_BLOCK (128 * 1024) /* bytes: blocks from this size on are mapped, and returned when freed */

#define CONFIG_DEFAULT "/etc/netlogd/netlogd.conf"

static const char usage[] =
	"usage: netlogd [--config FILE] [--no-uploader] [--check-config [--as USER]] [--version] [--help]\n"
	"\n"
	"Counts every connection that crosses a VPN tunnel on this machine, stores the counts\n"
	"of each window as a message on disk, and has netlogd-upload deliver them to the configured sinks.\n"
	"\n"
	"  --config FILE    configuration (default " CONFIG_DEFAULT ")\n"
	"  --no-uploader    do not start netlogd-upload: it runs as a separate service\n"
	"  --check-config   check the configuration and the files that it names, report errors, and exit\n"
	"  --as USER        check with this user's rights; by default, for root, with those of the installed units\n"
	"  --version        print the version and exit\n"
	"  --help           print this and exit\n"
	"\n"
	"Runs in the foreground. SIGHUP reloads the configuration; SIGTERM and SIGINT shut down cleanly.\n"
	"Exit status: 0 clean shutdown, 1 failure, 64 usage error, 77 no permission, 78 configuration error.\n";

struct arguments {
	const char *config;
	bool no_uploader;
	bool check_config;
	const char *as; /* NULL: not given */
	bool done;	/* --help or --version: nothing more to do */
};

/* 0, or the exit status of a usage error. */
static int parse_arguments(int argc, char **argv, struct arguments *ret_arguments)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"no-uploader", no_argument, NULL, 'n'},
		{"check-config", no_argument, NULL, 't'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{"as", required_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	struct arguments arguments = {.config = CONFIG_DEFAULT};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'c') {
			arguments.config = optarg;
		} else if (c == 'n') {
			arguments.no_uploader = true;
		} else if (c == 'a') {
			arguments.as = optarg;
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
	if (arguments.as && !arguments.check_config) {
		fputs("netlogd: --as is for --check-config\ntry: netlogd --help\n", stderr);
		return EX_USAGE;
	}
	*ret_arguments = arguments;
	return 0;
}

static int load(const char *file, struct config **ret_config)
{
	_cleanup_free_ char *text = NULL;
	struct config_error error = {};
	struct config *config;
	int r = config_load(file, &config, &error);

	if (r >= 0) {
		r = config_check_files(config, &error);
		if (r >= 0) {
			*ret_config = config;
			return 0;
		}
		config_free(config);
	}
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
	 * Loading eBPF programs takes megabytes for a moment. By default the allocator would raise its
	 * threshold after the first of them is freed, and keep the next.
	 */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	log_set_level(config->log_level);
	r = descriptors_raise_limit();
	if (r < 0)
		log_debug("the limit of open files stays as it is: %s", strerror(-r));
	/* Log IDs in a Start call pass through this process. */
	r = core_dump_forbid();
	if (r < 0)
		log_warning("cannot disable core dumps: %s", strerror(-r));
	r = daemon_new(&options, &daemon);
	/* What starting it again does not change has a status of its own. */
	if (r < 0)
		return r == -EACCES || r == -EPERM ? EX_NOPERM : EXIT_FAILURE;
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
		status = check_files(config, arguments.as);
		config_free(config);
		return status;
	}
	return run(config, arguments.no_uploader);
}
