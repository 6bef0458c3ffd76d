/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogd-upload: its arguments. */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "daemon/upload/uploader.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>

#define DEFAULT_CONFIG "/etc/netlogd/netlogd.conf"

static const char usage[] =
	"usage: netlogd-upload [--config FILE] [--fd N] [--spool-fd N] [--version] [--help]\n"
	"\n"
	"Delivers the messages of netlogd's spool to the configured sinks.\n"
	"\n"
	"  --config FILE   configuration (default " DEFAULT_CONFIG ")\n"
	"  --fd N          socket connected to netlogd; without it, connect to upload.sock\n"
	"                  beside the control socket\n"
	"  --spool-fd N    descriptor of the spool directory\n"
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
static int parse_arguments(int argc, char **argv, struct uploader_options *ret_options)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},   {"fd", required_argument, NULL, 'f'},
		{"spool-fd", required_argument, NULL, 's'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	    {},
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

int main(int argc, char **argv)
{
	struct uploader_options options = {.config_file = DEFAULT_CONFIG, .fd = -1, .spool_fd = -1};
	_cleanup_free_ char *reason = NULL;
	struct uploader *uploader;
	int r;

	r = parse_arguments(argc, argv, &options);
	if (r > 0)
		return r - 1;
	(void)descriptors_raise_limit();
	r = uploader_new(&options, &uploader, &reason);
	if (r < 0) {
		log_error("%s", reason ? reason : strerror(-r));
		return r == -EINVAL ? EX_CONFIG : EXIT_FAILURE;
	}
	r = uploader_run(uploader);
	uploader_free(uploader);
	if (r < 0)
		log_error("stopped: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
