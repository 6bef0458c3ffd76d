/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The end of an uploader that wants to be started again: at a moment when no sink is sending, so that no
 * batch is sent twice.
 */

#include <stdbool.h>

struct event_base;
struct restart;
struct sinks;

/*
 * The base and the sinks are borrowed and must outlive it. is_child: the daemon starts the process again;
 * otherwise a service manager does. 0 or -ENOMEM.
 */
int restart_new(struct event_base *base, struct sinks *sinks, bool is_child, struct restart **ret_restart);
void restart_free(struct restart *restart);
/*
 * Ends the loop as soon as no sink is sending, and not before the process has lived for some seconds, however
 * often what it needs changes. The reason is logged, the first time.
 */
void restart_want(struct restart *restart, const char *reason);
/* A sink's status has changed: it may have had its answer. */
void restart_check(struct restart *restart);
/* Whether the loop was ended for that. */
bool restart_is_due(const struct restart *restart);
