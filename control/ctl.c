/* SPDX-License-Identifier: BSD-3-Clause */
/* From a command line to a command: the options that all of them take, help, and errors that help. */

#include "control/ctl.h"

#include "build-config.h"
#include "control/table.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

/* Messages. */

/* What is said may quote a file or the daemon: nothing of it may steer the terminal. */
_printf_(2, 0) static void say(struct ctl *ctl, const char *format, va_list arguments)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;

	fflush(ctl->out);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	clean = text ? text_for_terminal(text) : NULL;
	fprintf(ctl->err, "netlogctl: %s\n", clean ? clean : "out of memory");
}

void ctl_note(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(ctl, format, arguments);
	va_end(arguments);
}

int ctl_error(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(ctl, format, arguments);
	va_end(arguments);
	return CTL_FAILED;
}

int ctl_usage(struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(ctl, format, arguments);
	va_end(arguments);
	fprintf(ctl->err, "Try \"netlogctl%s%s --help\".\n", ctl->command ? " " : "",
		ctl->command ? ctl->command->name : "");
	return CTL_USAGE;
}

/* Help. */

static const char common_help[] =
	"Options of every command:\n"
	"  --socket PATH   the daemon's control socket (default: that of --config if given, else\n"
	"                  " CTL_DEFAULT_SOCKET ")\n"
	"  --config FILE   the daemon's configuration (default: " CTL_DEFAULT_CONFIG ")\n"
	"  --json          print JSON for programs\n"
	"  --help          this text\n";

static int print_help(struct ctl *ctl)
{
	const struct ctl_command *command = ctl->command;

	if (command) {
		fprintf(ctl->out, "usage: netlogctl %s%s%s\n\n%s.\n", command->name,
			command->usage[0] ? " " : "", command->usage, command->summary);
		if (command->help)
			fprintf(ctl->out, "\n%s", command->help);
		fprintf(ctl->out, "\n%s", common_help);
		return CTL_OK;
	}
	fputs("usage: netlogctl [--socket PATH] [--json] COMMAND\n\nControls netlogd, the VPN flow logger, and "
	      "looks at what it logged.\n\nCommands:\n",
	      ctl->out);
	for (command = ctl_commands; command->name; command++)
		fprintf(ctl->out, "  %-14s %s\n", command->name, command->summary);
	fprintf(ctl->out, "\n%sExit status: 0 fine, 1 failed, 2 usage.\n", common_help);
	return CTL_OK;
}

/* Options. */

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

/* An option that every command takes. CTL_OK, or -1 when the command is done. */
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
		print_help(ctl);
		return -1;
	}
}

static int add_to_list(char ***list, char *value)
{
	size_t n = 0;
	char **more;

	while (*list && (*list)[n])
		n++;
	more = reallocarray(*list, n + 2, sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[n] = strdup(value);
	more[n + 1] = NULL;
	*list = more;
	return more[n] ? 0 : -ENOMEM;
}

static int take_option(struct ctl *ctl, const struct ctl_option *option)
{
	if (option->flag)
		*option->flag = true;
	else if (option->value)
		*option->value = optarg;
	else if (add_to_list(option->list, optarg) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

static int wrong_option(struct ctl *ctl, int kind, char **argv)
{
	const char *text = argv[optind - 1];

	if (kind == ':')
		return ctl_usage(ctl, "%s needs a value", text);
	if (optopt > 0 && optopt < OPTION_SOCKET)
		return ctl_usage(ctl, "unknown option -%c", optopt);
	return ctl_usage(ctl, optopt ? "%s takes no value" : "unknown option %s", text);
}

/* Options by getopt_long; stops at the first argument if short_options begins with "+". */
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
	optind = 0; /* begin anew */
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return wrong_option(ctl, option, argv);
		if (option == 'h')
			option = OPTION_HELP;
		r = option > OPTION_VERSION ? take_option(ctl, &options[option - OPTION_VERSION - 1])
					    : take_common(ctl, option);
		if (r != CTL_OK)
			return r;
	}
	return CTL_OK;
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
		return ctl_usage(ctl, "%s takes no \"%s\"", ctl->command->name, argv[optind + max]);
	if (ret_arguments)
		*ret_arguments = argv + optind;
	return CTL_OK;
}

/* Commands. */

/* The command that the first words name; *ret_words of them. NULL if there is none. */
static const struct ctl_command *find_command(int argc, char **argv, int *ret_words)
{
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		const char *space = strchr(command->name, ' ');
		size_t n = space ? (size_t)(space - command->name) : strlen(command->name);

		if (strlen(argv[0]) != n || memcmp(argv[0], command->name, n) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return command;
	}
	return NULL;
}

static int unknown_command(struct ctl *ctl, int argc, char **argv)
{
	size_t n = strlen(argv[0]);
	bool group = false;

	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		group = group || (strncmp(command->name, argv[0], n) == 0 && command->name[n] == ' ');
	if (!group)
		return ctl_usage(ctl, "unknown command \"%s\"", argv[0]);
	ctl_note(ctl, argc > 1 ? "unknown command \"%s %s\"; there are:" : "%s what? There are:", argv[0],
		 argc > 1 ? argv[1] : "");
	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		if (strncmp(command->name, argv[0], n) == 0 && command->name[n] == ' ')
			fprintf(ctl->err, "  netlogctl %s%s%s\n", command->name, command->usage[0] ? " " : "",
				command->usage);
	return CTL_USAGE;
}

static int run_help(struct ctl *ctl, int argc, char **argv)
{
	int words;

	if (argc > 0) {
		ctl->command = find_command(argc, argv, &words);
		if (!ctl->command)
			return unknown_command(ctl, argc, argv);
	}
	return print_help(ctl);
}

int ctl_main(struct ctl *ctl, int argc, char **argv)
{
	int words, r;

	ctl->command = NULL;
	ctl->socket = CTL_DEFAULT_SOCKET;
	ctl->config = CTL_DEFAULT_CONFIG;
	r = read_options(ctl, argc, argv, "+:h", NULL, 0);
	if (r != CTL_OK)
		return r < 0 ? CTL_OK : r;
	argc -= optind;
	argv += optind;
	if (argc == 0)
		return ctl_usage(ctl, "which command?");
	if (strcmp(argv[0], "help") == 0)
		return run_help(ctl, argc - 1, argv + 1);
	ctl->command = find_command(argc, argv, &words);
	if (!ctl->command)
		return unknown_command(ctl, argc, argv);
	r = ctl->command->run(ctl, argc - words + 1, argv + words - 1);
	/* Help is success. */
	if (r < 0)
		r = CTL_OK;
	if (fflush(ctl->out) != 0 || ferror(ctl->out))
		return errno == EPIPE ? CTL_FAILED : ctl_error(ctl, "can't write: %s", strerror(errno));
	return r;
}

/* Output and input. */

int ctl_print_json(struct ctl *ctl, const json_t *value)
{
	if (json_dumpf(value, ctl->out, JSON_COMPACT | JSON_ENCODE_ANY) < 0 || fputc('\n', ctl->out) == EOF)
		return ctl_error(ctl, "can't write: %s", strerror(errno));
	return CTL_OK;
}

void ctl_terminal_size(const struct ctl *ctl, size_t *ret_columns, size_t *ret_lines)
{
	struct winsize size = {};

	if (ctl->out_is_terminal)
		(void)ioctl(fileno(ctl->out), TIOCGWINSZ, &size);
	*ret_columns = size.ws_col;
	*ret_lines = size.ws_row;
}

#define JSON_FILE_MAX (64 * 1024 * 1024)

struct bounded_file {
	FILE *file;
	size_t left;
};

static size_t read_bounded(void *data, size_t n, void *userdata)
{
	struct bounded_file *bounded = userdata;
	size_t got;

	if (bounded->left == 0)
		return (size_t)-1;
	got = fread(data, 1, MIN(n, bounded->left), bounded->file);
	bounded->left -= got;
	return got;
}

int ctl_read_json(struct ctl *ctl, const char *path, json_t **ret_value)
{
	bool standard_input = strcmp(path, "-") == 0;
	_cleanup_fclose_ FILE *opened = standard_input ? NULL : fopen(path, "re");
	struct bounded_file file = {.file = standard_input ? ctl->in : opened, .left = JSON_FILE_MAX};
	json_error_t error;
	json_t *value;

	if (!file.file)
		return ctl_error(ctl, "%s: %s", path, strerror(errno));
	value = json_load_callback(read_bounded, &file, JSON_REJECT_DUPLICATES, &error);
	if (!value && file.left == 0)
		return ctl_error(ctl, "%s: larger than %d MiB", path, JSON_FILE_MAX >> 20);
	if (!value)
		return ctl_error(ctl, "%s:%d:%d: %s", standard_input ? "standard input" : path, error.line,
				 error.column, error.text);
	*ret_value = value;
	return CTL_OK;
}

const char *json_text(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

long long json_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

bool json_flag(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}
