/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The logger: windows, from the devices' counts to messages in the spool. It knows nothing of sockets or
 * loops; everything but logger_status() belongs to the logger's thread, where one call runs at a time and
 * may block.
 */

#include "common/clock.h"
#include "common/log_id.h"
#include "daemon/logger/layer.h"
#include "daemon/record/aggregate.h"
#include "daemon/record/nodes.h"

#include <jansson.h>

struct logger;
struct spool_writer;

struct logger_options {
	const struct clock *clock;
	struct epoch *epoch; /* borrowed; NULL where eBPF is not to be had */
	struct spool_writer *spool;
	const struct config *config;	    /* borrowed until logger_apply() puts another in its place */
	struct nodes *nodes;		    /* owned from here on; may be NULL */
	uint32_t proc_id;		    /* random, not 0 */
	const struct layer_source *sources; /* NULL: the real ones */
};

/* A stopped logger. 0 or -errno; the nodes are taken in either case. */
int logger_new(const struct logger_options *options, struct logger **ret_logger);
/* Without a stop: whoever wants one calls logger_stop() before. */
void logger_free(struct logger *logger);

/* Messages from now on belong to this public log ID (zeros: the configured one). 0 or -errno. */
int logger_set_public_id(struct logger *logger, const struct log_id *public_id);

bool logger_is_running(const struct logger *logger);

/*
 * Enables the devices, throws away what they hold, and begins the first window. A device given here (NULL:
 * the configured one) counts until the logger stops. 0, also when a device is waited for; -EALREADY; another
 * -errno when no source works, with the layer's name ("tun", "sock") and the reason (owned by the caller).
 */
int logger_start(struct logger *logger, const struct device_config *tun, const struct device_config *sock,
		 const char **ret_layer, char **ret_reason);
/*
 * The same with the configured devices, whatever becomes of them: a layer for which no source works is
 * logged, counts nothing, and is tried again at each window's end. 0 or -EALREADY.
 */
int logger_start_anyway(struct logger *logger);
/* Ends the last window and disables the devices. Nothing if it is stopped. */
void logger_stop(struct logger *logger);

/* Ends the window now: logs it, begins the next. Looks after devices that went or came back. */
void logger_end_window(struct logger *logger);
/* Puts these lists in place of the configured ones. What came before is classified by the old ones, in the
 * same window. 0 or -ENOMEM. */
int logger_reconfigure(struct logger *logger, const struct route_lists *lists);
/* Another configuration, borrowed; devices that differ are exchanged at a window's end. nodes are those of
 * its nodes file (NULL without one: then those of logger_set_nodes() stay), owned from here on. 0 or -errno,
 * nothing changed. */
int logger_apply(struct logger *logger, const struct config *config, struct nodes *nodes);
/* Other nodes, owned from here on. */
void logger_set_nodes(struct logger *logger, struct nodes *nodes);
/* Links came, went or changed, or a heartbeat may be due: look after the devices, and that, now. */
void logger_check_devices(struct logger *logger);
/* Waits until all messages are on disk, for two seconds at most. */
void logger_sync(struct logger *logger);
/* Logs a text message ("netlogd: " is put before it). */
void logger_tell(struct logger *logger, const char *format, ...) _printf_(2, 3);

/* Descriptors that become readable when a device wants an early extraction; -1 for none. Then logger_gather()
 * is due. */
int logger_pressure_fd(const struct logger *logger, enum device_layer layer);
/* Extracts early, into the same window. */
void logger_gather(struct logger *logger);

/* The logger's part of Status, as of its last call; a new reference. Any thread. */
json_t *logger_status(struct logger *logger);
/* The nodes as {"nodes":[...]}: part of the same copy. Any thread; a new reference. */
json_t *logger_nodes(struct logger *logger);
