/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of commands: help, dispatch and the completion's test are all made from it. */

#include "control/commands/dispatch.h"

#include "control/commands/commands.h"

#include <errno.h>
#include <getopt.h>

#define DEADLINE_HELP "  --deadline S    time to deliver the backlog: seconds, or 500ms, 1m; default 5\n"
#define FLOW_HELP                                                                                            \
	"  --since T       from this time on: 2026-11-22T20:00:00Z, \"2026-11-22 20:00\" (UTC),\n"           \
	"                  today, yesterday, or an age: 10m, 2h30m\n"                                        \
	"  --until T       up to this time\n" CHOICE_HELP
#define CHOICE_HELP                                                                                          \
	"  --class C       virtual, subnet, exit or physical\n"                                              \
	"  --addr P        only traffic from or to this address, prefix or node's name\n"                    \
	"  --node N        only traffic from or to this node: a name, nodeId or address\n"
#define BY_HELP                                                                                              \
	"  --by G          rows by connection (default), node, peer, pair, client, service, port\n"          \
	"                  or class\n"
#define HOW_HELP                                                                                             \
	"  --how W         only connections that were opened, closed, half-closed, reset, refused,\n"        \
	"                  half-open, unanswered or dropped\n"                                               \
	"  --sort W        by bytes (default), packets, begun, refused or dropped\n"
#define LIMIT_HELP "  --limit N       rows of each class; 0 for all (default: 50 on a terminal, else all)\n"
#define SPOOL_HELP                                                                                           \
	"  --spool DIR     the spool (default: that of the daemon behind --socket, else the\n"               \
	"                  configured one)\n"
#define RESOLVE_HELP "  --resolve       show the node names held in the messages, not addresses (no DNS)\n"
#define DETAILS_HELP "  --details       show also TCP flags, and how many connections began and ended\n"

const struct ctl_command ctl_commands[] = {
	{"status", "", "show the state of the daemon, its devices, the spool and every sink", NULL,
	 cmd_status},
	{"start", "[OPTION]...", "start logging",
	 "Anything not given comes from the configuration. A device with options but no source uses auto,\n"
	 "or stats if its stats socket is given.\n\n"
	 "  --tun-source S         auto, ebpf, packet, stats or none\n"
	 "  --tun-interface I      the tunnel's network interface\n"
	 "  --tun-stats-socket P   Unix socket for source stats\n"
	 "  --sock-source S        auto, wireguard, tailscale, stats or none\n"
	 "  --sock-interface I     the tunnel's network interface\n"
	 "  --sock-stats-socket P  Unix socket for source stats\n"
	 "  --log-id-file FILE     the node's private log ID\n"
	 "  --domain-log-id-file FILE\n",
	 cmd_start},
	{"stop", "[--deadline S]", "stop logging and deliver the backlog", DEADLINE_HELP, cmd_stop},
	{"reload", "", "reload the configuration", "A configuration with an error changes nothing.\n",
	 cmd_reload},
	{"flush", "[--deadline S]", "end the window now and deliver the backlog", DEADLINE_HELP, cmd_flush},
	{"routes show", "", "show the routes that classify traffic, and where each comes from", NULL,
	 cmd_routes_show},
	{"routes set", "--local-addr P... --route P... --subnet-route P... | --file FILE",
	 "replace the configured routes until the next reload",
	 "  --local-addr P    the node's own address\n"
	 "  --route P         a prefix reached through the tunnel\n"
	 "  --subnet-route P  a prefix that this node serves for others\n"
	 "  --file FILE       all three as {\"localAddrs\":[...],\"routes\":[...],\"subnetRoutes\":[...]};\n"
	 "                    \"-\" is standard input\n"
	 "Each may be given more than once, or as a list with commas. A list that is not given is empty.\n",
	 cmd_routes_set},
	{"nodes show", "", "show the known node identities", NULL, cmd_nodes_show},
	{"nodes set", "FILE", "replace all known node identities",
	 "FILE holds {\"nodes\":[{\"nodeId\":...,\"name\":...,\"addresses\":[...],\"os\":...,\"user\":...,"
	 "\"tags\":[...]}]};\n\"-\" is standard input.\n",
	 cmd_nodes_set},
	{"peers", "[--keys] [--sort BY] [PEER]",
	 "show the tunnel's peers: where each is and how it is reached, its bytes",
	 "  --keys          show their public keys\n"
	 "  --sort BY       active (default), name, seen, handshake, rate, today\n"
	 "With PEER, a name, an ID, a public key or an address in the tunnel, all that is known of that one;\n"
	 "exit status 1 if there is none.\n",
	 cmd_peers},
	{"tail", "[--resolve] [--details]",
	 "show messages as they are logged, as tables or (--json) as lines", RESOLVE_HELP DETAILS_HELP,
	 cmd_tail},
	{"top", "[OPTION]...", "show live connections by rate, window by window",
	 BY_HELP CHOICE_HELP HOW_HELP LIMIT_HELP DETAILS_HELP
	 "  --count N       exit after this many windows with traffic\n"
	 "On a terminal each window replaces the previous one.\n",
	 cmd_top},
	{"flows", "[OPTION]...", "show past traffic from the spool, whether or not the daemon runs",
	 FLOW_HELP BY_HELP HOW_HELP LIMIT_HELP DETAILS_HELP SPOOL_HELP
	 "With --json, prints the messages with such traffic as lines or, with --by, the sums.\n",
	 cmd_flows},
	{"denied", "[OPTION]...", "show what the kernel threw away: who was refused what, and why",
	 FLOW_HELP
	 "  --limit N       rows; 0 for all (default: 50 on a terminal, else all)\n" SPOOL_HELP
	 "  --count N       exit after this many windows with dropped packets\n" RESOLVE_HELP
	 "Live, window by window, unless --since, --until or --spool asks for the past. Rows are told from\n"
	 "the end that opened the connection or, where that is not known, whose packets were dropped.\n",
	 cmd_denied},
	{"report", "[OPTION]... --output FILE", "write past traffic as one self-contained HTML page",
	 FLOW_HELP "  --output FILE   the file for the page; \"-\" is standard output\n" SPOOL_HELP,
	 cmd_report},
	{"format", "[--resolve] [--details]", "print the messages in any JSON stream on standard input",
	 RESOLVE_HELP DETAILS_HELP, cmd_format},
	{"spool check", "[DIR]", "check a spool; exit status 1 if anything is damaged or missing", SPOOL_HELP,
	 cmd_spool_check},
	{"spool export", "[--since T] [--until T] [DIR]", "print all messages of a spool as lines",
	 "  --since T       from this time on, as for flows\n"
	 "  --until T       up to this time\n" SPOOL_HELP,
	 cmd_spool_export},
	{"spool repair", "[DIR]", "move damaged parts out of a spool that no daemon uses",
	 SPOOL_HELP "They are kept in its subdirectory \"damaged\".\n", cmd_spool_repair},
	{"id new", "FILE", "create a private log ID, and print its public one",
	 "The file gets mode 0600 and is never overwritten. The private ID is a secret.\n", cmd_id_new},
	{"id public", "FILE", "print the public log ID of a private one", NULL, cmd_id_public},
	{"metrics", "", "print the daemon's metrics in Prometheus text format", NULL, cmd_metrics},
	{NULL},
};

/* The command that the first words name, and how many words name it; or NULL. */
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

/* Whether the word is the first of several commands: "routes". */
static bool is_group(const struct ctl_command *command, const char *word)
{
	size_t n = strlen(word);

	return strncmp(command->name, word, n) == 0 && command->name[n] == ' ';
}

static void print_group(FILE *file, const char *word)
{
	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		if (is_group(command, word))
			fprintf(file, "  netlogctl %s%s%s\n", command->name, command->usage[0] ? " " : "",
				command->usage);
}

/* The words name no command: they are wrong, or the first of them stands for several. */
static int no_command(struct ctl *ctl, bool help, int argc, char **argv)
{
	const char *second = argc > 1 ? argv[1] : NULL;
	bool group = false;

	for (const struct ctl_command *command = ctl_commands; command->name; command++)
		group = group || is_group(command, argv[0]);
	if (!group)
		return ctl_usage(ctl, "unknown command \"%s\"", argv[0]);
	if (second && (strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0)) {
		help = true;
		second = NULL;
	}
	if (help && !second) {
		fputs("usage:\n", ctl->out);
		print_group(ctl->out, argv[0]);
		return CTL_OK;
	}
	if (second)
		ctl_note(ctl, "unknown command \"%s %s\"; known are:", argv[0], second);
	else
		ctl_note(ctl, "%s needs a second word:", argv[0]);
	print_group(ctl->err, argv[0]);
	return CTL_USAGE;
}

int ctl_main(struct ctl *ctl, int argc, char **argv)
{
	int words = 1, r;
	bool help;

	ctl->commands = ctl_commands;
	ctl->command = NULL;
	ctl->socket = CTL_DEFAULT_SOCKET;
	ctl->config = CTL_DEFAULT_CONFIG;
	r = ctl_common_options(ctl, argc, argv);
	if (r != CTL_OK)
		return r < 0 ? CTL_OK : r;
	argc -= optind;
	argv += optind;
	if (argc == 0)
		return ctl_usage(ctl, "no command given");
	help = strcmp(argv[0], "help") == 0;
	if (help) {
		argc--;
		argv++;
	}
	if (argc > 0) {
		ctl->command = find_command(argc, argv, &words);
		if (!ctl->command)
			return no_command(ctl, help, argc, argv);
	}
	if (help) {
		ctl_print_help(ctl);
		return CTL_OK;
	}
	r = ctl->command->run(ctl, argc - words + 1, argv + words - 1);
	if (r < 0)
		r = CTL_OK; /* it printed its help */
	if (fflush(ctl->out) != 0 || ferror(ctl->out))
		return errno == EPIPE ? CTL_FAILED : ctl_error(ctl, "cannot write: %s", strerror(errno));
	return r;
}
