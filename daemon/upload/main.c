/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd-upload: its arguments. */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/descriptors.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "daemon/upload/uploader.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#define DEFAULT_CONFIG "/etc/netlogd/netlogd.conf"

static const char usage[] =
	"usage: netlogd-upload [--config FILE] [--fd N] [--spool-fd N] [--check-config] [--version]\n"
	"                      [--help]\n"
	"\n"
	"Delivers the messages of netlogd's spool to the configured sinks.\n"
	"\n"
	"  --config FILE   configuration (default " DEFAULT_CONFIG ")\n"
	"  --fd N          socket connected to netlogd; without it, connect to upload.sock\n"
	"                  beside the control socket\n"
	"  --spool-fd N    descriptor of the spool directory\n"
	"  --check-config  read the configuration, report errors, and exit\n"
	"  --version       print the version and exit\n"
	"  --help          print this and exit\n";

static int parse_descriptor(const char *text, int *ret_fd)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *end || end == text || value < 3 || value > INT_MAX)
		return -EINVAL;
	*ret_fd = (int)value;
	return 0;
}

/* 0: start; otherwise the program's exit status plus one. */
static int parse_arguments(int argc, char **argv, struct uploader_options *ret_options, bool *ret_check)
{
	static const struct option options[] = {
		{"check-config", no_argument, NULL, 't'},
		{"config", required_argument, NULL, 'c'},
		{"fd", required_argument, NULL, 'f'},
		{"spool-fd", required_argument, NULL, 's'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0 && r == 0) {
		switch (c) {
		case 'c':
			ret_options->config_file = optarg;
			break;
		case 'f':
			r = parse_descriptor(optarg, &ret_options->fd);
			break;
		case 's':
			r = parse_descriptor(optarg, &ret_options->spool_fd);
			break;
		case 't':
			*ret_check = true;
			break;
		case 'V':
			puts("netlogd-upload " NETLOGD_VERSION);
			return 1 + EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return 1 + EXIT_SUCCESS;
		default:
			r = -EINVAL;
		}
	}
	if (r == 0 && optind == argc)
		return 0;
	fputs(usage, stderr);
	return 1 + EX_USAGE;
}

/* For a reload of the service: the running uploader cannot tell systemd that it keeps the old configuration.
 */
static int check_config(const char *file)
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_(config_freep) struct config *config = NULL;
	_cleanup_free_ char *text = NULL;
	int r = config_load(file, &config, &error);

	if (r >= 0)
		return EXIT_SUCCESS;
	text = config_error_text(&error);
	log_error("%s", text ? text : strerror(-r));
	return EX_CONFIG;
}

int main(int argc, char **argv)
{
	struct uploader_options options = {.config_file = DEFAULT_CONFIG, .fd = -1, .spool_fd = -1};
	_cleanup_free_ char *reason = NULL;
	struct uploader *uploader;
	bool check = false;
	int r;

	r = parse_arguments(argc, argv, &options, &check);
	if (r > 0)
		return r - 1;
	if (check)
		return check_config(options.config_file);
	(void)descriptors_raise_limit();
	r = uploader_new(&options, &uploader, &reason);
	if (r < 0) {
		log_error("cannot start: %s", reason ? reason : strerror(-r));
		return r == -EINVAL ? EX_CONFIG : r == -EACCES || r == -EPERM ? EX_NOPERM : EXIT_FAILURE;
	}
	r = uploader_run(uploader);
	uploader_free(uploader);
	if (r < 0)
		log_error("stopped: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : r > 0 ? EXIT_START_AGAIN : EXIT_SUCCESS;
}
