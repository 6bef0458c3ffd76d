/* SPDX-License-Identifier: BSD-3-Clause */
/* getopt_long with the options that all commands take, which may stand before the command or after it. */

#include "control/options.h"

#include "build-config.h"
#include "control/ctl.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

static const char common_help[] =
	"Options of every command:\n"
	"  --socket PATH   the daemon's control socket (default: the one in --config if given, else\n"
	"                  " CTL_DEFAULT_SOCKET ")\n"
	"  --config FILE   the daemon's configuration (default: " CTL_DEFAULT_CONFIG ")\n"
	"  --json          print JSON for programs\n"
	"  --help          this text\n"
	"  --version       print the version\n";

void ctl_print_help(const struct ctl *ctl)
{
	const struct ctl_command *command = ctl->command;

	if (command) {
		fprintf(ctl->out, "usage: netlogctl %s%s%s\n\n%c%s.\n", command->name,
			command->usage[0] ? " " : "", command->usage,
			toupper((unsigned char)command->summary[0]), command->summary + 1);
		if (command->help)
			fprintf(ctl->out, "\n%s", command->help);
		fprintf(ctl->out, "\n%s", common_help);
		return;
	}
	fputs("usage: netlogctl [--socket PATH] [--config FILE] [--json] COMMAND [ARGUMENT]...\n"
	      "       netlogctl help [COMMAND]\n\n"
	      "Controls netlogd, the VPN flow logger, and shows what it logs.\n\nCommands:\n",
	      ctl->out);
	for (command = ctl->commands; command->name; command++)
		fprintf(ctl->out, "  %-14s %s\n", command->name, command->summary);
	fprintf(ctl->out, "\n%sExit status: 0 success, 1 failure, 2 usage error.\n", common_help);
}

enum { OPTION_SOCKET = 1000, OPTION_CONFIG, OPTION_JSON, OPTION_HELP, OPTION_VERSION };

#define MAX_OPTIONS 24

static const struct option common_options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL},
};

/* CTL_OK, or -1 when the command is done. */
static int take_common(struct ctl *ctl, int option)
{
	switch (option) {
	case OPTION_SOCKET:
		ctl->socket = optarg;
		ctl->socket_given = true;
		return CTL_OK;
	case OPTION_CONFIG:
		ctl->config = optarg;
		ctl->config_given = true;
		return CTL_OK;
	case OPTION_JSON:
		ctl->json = true;
		return CTL_OK;
	case OPTION_VERSION:
		fputs("netlogctl " NETLOGD_VERSION "\n", ctl->out);
		return -1;
	default:
		ctl_print_help(ctl);
		return -1;
	}
}

static int take_option(struct ctl *ctl, const struct ctl_option *option)
{
	size_t n = 0;
	char **list;

	if (option->flag)
		*option->flag = true;
	else if (option->value)
		*option->value = optarg;
	if (!option->list)
		return CTL_OK;
	while (*option->list && (*option->list)[n])
		n++;
	list = reallocarray(*option->list, n + 2, sizeof(*list));
	if (!list)
		return ctl_error(ctl, "out of memory");
	list[n] = strdup(optarg);
	list[n + 1] = NULL;
	*option->list = list;
	return list[n] ? CTL_OK : ctl_error(ctl, "out of memory");
}

/* short_options that begin with "+" stop it at the first argument. */
static int read_options(struct ctl *ctl, int argc, char **argv, const char *short_options,
			const struct ctl_option *options, size_t n_options)
{
	struct option long_options[MAX_OPTIONS] = {};
	size_t n_common = ARRAY_SIZE(common_options) - 1;
	int option, r;

	for (size_t i = 0; i < n_options; i++)
		long_options[i] =
			(struct option){options[i].name, options[i].flag ? no_argument : required_argument,
					NULL, OPTION_VERSION + 1 + (int)i};
	memcpy(long_options + n_options, common_options, n_common * sizeof(*long_options));
	opterr = 0;
	optind = 0; /* forget what an earlier call read */
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (option == ':')
			return ctl_usage(ctl, "%s needs a value", argv[optind - 1]);
		if (option == '?' && optopt > 0 && optopt < OPTION_SOCKET)
			return ctl_usage(ctl, "unknown option -%c", optopt);
		if (option == '?')
			return ctl_usage(ctl, optopt ? "%s takes no value" : "unknown option %s",
					 argv[optind - 1]);
		if (option > OPTION_VERSION)
			r = take_option(ctl, &options[option - OPTION_VERSION - 1]);
		else
			r = take_common(ctl, option); /* -h is --help */
		if (r != CTL_OK)
			return r;
	}
	return CTL_OK;
}

int ctl_common_options(struct ctl *ctl, int argc, char **argv)
{
	return read_options(ctl, argc, argv, "+:h", NULL, 0);
}

int ctl_options(struct ctl *ctl, int argc, char **argv, const struct ctl_option *options, size_t n_options,
		int min, int max, char ***ret_arguments)
{
	int r = read_options(ctl, argc, argv, ":h", options, n_options);

	if (r != CTL_OK)
		return r;
	if (argc - optind < min)
		return ctl_usage(ctl, "%s needs: %s", ctl->command->name, ctl->command->usage);
	if (argc - optind > max)
		return ctl_usage(ctl, "%s: unexpected argument \"%s\"", ctl->command->name,
				 argv[optind + max]);
	if (ret_arguments)
		*ret_arguments = argv + optind;
	return CTL_OK;
}
