/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The commands' functions, for the table in dispatch.c. argv[0] is the command's (last) word; each returns an
 * exit status, or -1 when it only printed its help. */

#include "control/ctl.h"
#include "control/options.h"

#include <string.h>

int cmd_status(struct ctl *ctl, int argc, char **argv);
int cmd_start(struct ctl *ctl, int argc, char **argv);
int cmd_stop(struct ctl *ctl, int argc, char **argv);
int cmd_reload(struct ctl *ctl, int argc, char **argv);
int cmd_flush(struct ctl *ctl, int argc, char **argv);
int cmd_routes_show(struct ctl *ctl, int argc, char **argv);
int cmd_routes_set(struct ctl *ctl, int argc, char **argv);
int cmd_nodes_set(struct ctl *ctl, int argc, char **argv);
int cmd_nodes_show(struct ctl *ctl, int argc, char **argv);
int cmd_peers(struct ctl *ctl, int argc, char **argv);
int cmd_tail(struct ctl *ctl, int argc, char **argv);
int cmd_top(struct ctl *ctl, int argc, char **argv);
int cmd_flows(struct ctl *ctl, int argc, char **argv);
int cmd_denied(struct ctl *ctl, int argc, char **argv);
int cmd_report(struct ctl *ctl, int argc, char **argv);
int cmd_format(struct ctl *ctl, int argc, char **argv);
int cmd_spool_check(struct ctl *ctl, int argc, char **argv);
int cmd_spool_export(struct ctl *ctl, int argc, char **argv);
int cmd_spool_repair(struct ctl *ctl, int argc, char **argv);
int cmd_id_new(struct ctl *ctl, int argc, char **argv);
int cmd_id_public(struct ctl *ctl, int argc, char **argv);
int cmd_metrics(struct ctl *ctl, int argc, char **argv);
