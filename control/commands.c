/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of commands: help, dispatch and the completion's test are all made from it. */

#include "control/commands.h"

#define DEADLINE_HELP "  --deadline S    seconds (or 500ms, 1m) to deliver what waits; default 5\n"
#define FLOW_HELP                                                                                            \
	"  --since T       from then on: 2026-11-22T20:00:00Z, \"2026-11-22 20:00\" (UTC), today,\n"         \
	"                  yesterday, or how long ago: 10m, 2h30m\n"                                         \
	"  --until T       until then\n"                                                                     \
	"  --class C       virtual, subnet, exit or physical\n"                                              \
	"  --addr P        only what has an end in this address or prefix\n"
#define SPOOL_HELP                                                                                           \
	"  --spool DIR     the spool (default: that of the daemon behind --socket, else the\n"               \
	"                  configuration's)\n"
#define RESOLVE_HELP "  --resolve       node names that the messages hold instead of addresses (no DNS)\n"

const struct ctl_command ctl_commands[] = {
	{"status", "", "how the daemon, its devices, the spool and every sink do", NULL, cmd_status},
	{"start", "[OPTION]...", "start logging",
	 "What is not given comes from the configuration; a device of which anything is given has the source\n"
	 "auto (stats, if its socket is given) unless it is named.\n\n"
	 "  --tun-source S         auto, ebpf, packet, stats or none\n"
	 "  --tun-interface I      the tunnel's network interface\n"
	 "  --tun-stats-socket P   Unix socket for source stats\n"
	 "  --sock-source S        auto, wireguard, stats or none\n"
	 "  --sock-interface I     the tunnel's network interface\n"
	 "  --sock-stats-socket P  Unix socket for source stats\n"
	 "  --log-id-file FILE     the node's private log ID\n"
	 "  --domain-log-id-file FILE\n",
	 cmd_start},
	{"stop", "[--deadline S]", "stop logging and deliver what waits", DEADLINE_HELP, cmd_stop},
	{"reload", "", "read the configuration again", "One with an error changes nothing.\n", cmd_reload},
	{"flush", "[--deadline S]", "end the window now and deliver what waits", DEADLINE_HELP, cmd_flush},
	{"routes show", "", "the routes that classify traffic, and where each comes from", NULL,
	 cmd_routes_show},
	{"routes set", "--local-addr P... --route P... --subnet-route P... | --file FILE",
	 "put routes in place of the configured ones, until the next reload",
	 "  --local-addr P    the node's own address\n"
	 "  --route P         a prefix reached through the tunnel\n"
	 "  --subnet-route P  a prefix that this node serves for others\n"
	 "  --file FILE       all three as {\"localAddrs\":[...],\"routes\":[...],\"subnetRoutes\":[...]};\n"
	 "                    \"-\" is standard input\n"
	 "Each may be given more than once, or as a list with commas. A list that is not given is empty.\n",
	 cmd_routes_set},
	{"nodes show", "", "the known node identities", NULL, cmd_nodes_show},
	{"nodes set", "FILE", "put node identities in place of all that were known",
	 "FILE holds {\"nodes\":[{\"nodeId\":...,\"name\":...,\"addresses\":[...],\"os\":...,\"user\":...,"
	 "\"tags\":[...]}]};\n\"-\" is standard input.\n",
	 cmd_nodes_set},
	{"tail", "[--resolve]", "messages as they come, as tables or with --json as lines", RESOLVE_HELP,
	 cmd_tail},
	{"top", "[OPTION]...", "live connections by rate, window by window",
	 "  --by G          rows by connection (default), node, peer, port or class\n"
	 "  --class C       virtual, subnet, exit or physical\n"
	 "  --addr P        only what has an end in this address or prefix\n"
	 "  --limit N       rows of each class; 0 for all (default: 50 on a terminal, else all)\n"
	 "  --count N       end after this many windows with traffic\n"
	 "On a terminal the page is drawn again for each window.\n",
	 cmd_top},
	{"flows", "[OPTION]...", "look back through the local spool, daemon running or not",
	 FLOW_HELP
	 "  --by G          sums by connection (default), node, peer, port or class\n"
	 "  --limit N       rows of each class; 0 for all (default: 50 on a terminal, else all)\n" SPOOL_HELP
	 "With --json the messages that hold such traffic, as lines.\n",
	 cmd_flows},
	{"report", "[OPTION]... --output FILE", "the same as one self-contained HTML page",
	 FLOW_HELP "  --output FILE   where the page goes; \"-\" is standard output\n" SPOOL_HELP,
	 cmd_report},
	{"format", "[--resolve]", "print the messages in any JSON stream on standard input", RESOLVE_HELP,
	 cmd_format},
	{"spool check", "[DIR]", "look a spool through; exit status 1 if anything is damaged or missing",
	 SPOOL_HELP, cmd_spool_check},
	{"spool export", "[--since T] [--until T] [DIR]", "all messages of a spool, as lines",
	 "  --since T       from then on, as for flows\n"
	 "  --until T       until then\n" SPOOL_HELP,
	 cmd_spool_export},
	{"spool repair", "[DIR]", "take damaged parts out of a spool that no daemon holds",
	 SPOOL_HELP "What is damaged is kept in its folder \"damaged\".\n", cmd_spool_repair},
	{"id new", "FILE", "make a private log ID, and show its public one",
	 "The file gets mode 0600 and is never written over. The private ID is a secret.\n", cmd_id_new},
	{"id public", "FILE", "show the public log ID of a private one", NULL, cmd_id_public},
	{"metrics", "", "the daemon's figures as Prometheus text", NULL, cmd_metrics},
	{NULL},
};
