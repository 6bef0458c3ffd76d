/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The logger: windows, from the devices' counts to messages in the spool. It knows no sockets and no loop;
 * all of it runs on the logger's thread, one call at a time, and may block.
 */

#include "common/clock.h"
#include "common/log_id.h"
#include "daemon/logger/layer.h"
#include "daemon/record/nodes.h"

struct logger;
struct worker;
struct spool_writer;

struct logger_options {
	const struct clock *clock;
	struct epoch *epoch; /* borrowed; NULL without eBPF */
	struct spool_writer *spool;
	const struct config *config; /* borrowed until logger_apply() replaces it */
	struct nodes *nodes;	     /* taken; may be NULL */
	struct worker
		*aside;	  /* borrowed: releases nodes that are not used any more; NULL: nobody does that */
	uint32_t proc_id; /* random, not 0 */
	const struct layer_source *sources; /* NULL: the real ones */
};

/* A stopped logger. 0 or -errno; the nodes are taken in either case. */
int logger_new(const struct logger_options *options, struct logger **ret_logger);
/* Does not stop it: call logger_stop() before. */
void logger_free(struct logger *logger);

/* Messages from now on belong to this public log ID (zeros: the configured one). 0 or -errno. */
int logger_set_public_id(struct logger *logger, const struct log_id *public_id);

bool logger_is_running(const struct logger *logger);

/*
 * Enables the devices, discards what they hold, and begins the first window. A device given here (NULL: the
 * configured one) counts until the logger stops. 0, also when the logger waits for a device; -EALREADY;
 * another -errno when no source works, with the layer's name ("tun", "sock") and the reason (owned by the
 * caller).
 */
int logger_start(struct logger *logger, const struct device_config *tun, const struct device_config *sock,
		 const char **ret_layer, char **ret_reason);
/*
 * The same with the configured devices, but it does not fail: a layer for which no source works is logged,
 * counts nothing, and is tried again at each window's end. 0 or -EALREADY.
 */
int logger_start_anyway(struct logger *logger);
/* Ends the last window and disables the devices. Nothing while stopped. */
void logger_stop(struct logger *logger);

/* Ends the window now, logs it, and begins the next. Then logger_check_devices(). */
void logger_end_window(struct logger *logger);
/* Replaces the configured lists of routes. Traffic before the call is classified by the old ones, in the same
 * window. 0 or -ENOMEM. */
int logger_reconfigure(struct logger *logger, const struct route_lists *lists);
/* Replaces the configuration, borrowed; devices that differ are exchanged at a window's end. *nodes are those
 * of its nodes file (NULL without one: then those of logger_set_nodes() stay): taken, and replaced by those
 * that are not used any more, for the caller to release. 0 or -errno, nothing changed. */
int logger_apply(struct logger *logger, const struct config *config, struct nodes **nodes);
/* Replaces the operator's nodes; *nodes as above. */
void logger_set_nodes(struct logger *logger, struct nodes **nodes);
/* Takes up devices that appeared, closes those that disappeared, and logs a heartbeat if one is due. */
void logger_check_devices(struct logger *logger);
/* A descriptor that becomes readable when the kernel reports a change of routes, so that gather_listen() is
 * due; -1 for none. */
int logger_routes_fd(const struct logger *logger);
/* Whether the layer's device, whose pressure descriptor is readable, wants an extraction. */
bool logger_wants_extraction(const struct logger *logger, enum device_layer layer);
/* A descriptor that becomes readable when the layer's device runs full, so that gather_early() is due; -1 for
 * none. */
int logger_pressure_fd(const struct logger *logger, enum device_layer layer);
