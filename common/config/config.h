/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The configuration as the programs use it, with every default filled in. */

#include "common/address.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <stdbool.h>
#include <stdint.h>

enum device_source {
	SOURCE_AUTO,
	SOURCE_NONE,
	SOURCE_EBPF,
	SOURCE_PACKET,
	SOURCE_STATS,
	SOURCE_WIREGUARD,
	SOURCE_TAILSCALE,
};

enum exit_traffic { EXIT_TRAFFIC_AGGREGATE, EXIT_TRAFFIC_ANONYMIZE, EXIT_TRAFFIC_FULL };
enum routes_mode { ROUTES_MODE_AUTO, ROUTES_MODE_STATIC };
enum spool_sync { SPOOL_SYNC_INTERVAL, SPOOL_SYNC_ALWAYS };
enum sink_type { SINK_TYPE_LOGTAIL, SINK_TYPE_CLICKHOUSE, SINK_TYPE_OTLP, SINK_TYPE_FILE };
enum sink_compression {
	SINK_COMPRESSION_AUTO,
	SINK_COMPRESSION_ZSTD,
	SINK_COMPRESSION_GZIP,
	SINK_COMPRESSION_NONE
};
enum names_mode { NAMES_AUTO, NAMES_NONE, NAMES_FILE };
enum underlay_mode { UNDERLAY_AUTO, UNDERLAY_NONE, UNDERLAY_LIST };

/* Strings are owned; NULL means no value. Lists of strings end with NULL (and are NULL when empty). */
struct device_config {
	enum device_source source;
	char *interface;
	char *stats_socket;
};

/* The three lists of prefixes that classify traffic, in any order. */
struct route_lists {
	struct prefix_list local_addrs;
	struct prefix_list routes;
	struct prefix_list subnet_routes;
};

/* 0 or -ENOMEM; the copy is owned by the caller. */
int route_lists_copy(const struct route_lists *lists, struct route_lists *ret_lists);
void route_lists_deinit(struct route_lists *lists);

struct sink_config {
	char *name; /* [A-Za-z0-9_.-]{1,64}: it names files */
	enum sink_type type;
	char *url;
	char *collection; /* logtail */
	char *database;
	char *table;
	char *path; /* file: where lines go */
	enum sink_compression compression;
	uint64_t max_batch_size; /* bytes, before compression */
	uint64_t max_rows;
	int64_t flush_interval; /* ns */
	uint64_t rate_limit;	/* bytes per second; 0 none */
	int64_t timeout;	/* ns */
	char **headers;		/* "Name: value" */
	char *bearer_token_file;
	char *user;
	char *password_file;
	char *ca_file;
	char *cert_file;
	char *key_file;
	char **settings;   /* clickhouse: "name=value" */
	unsigned int line; /* where its section begins, for messages */
};

struct config {
	char *file; /* as it was opened */

	char *state_directory;
	char *upload_directory;
	char *control_socket;
	char *control_group;
	bool control_group_named; /* set in the file, so it must exist */
	char **operators;
	enum log_level log_level;
	bool autostart;
	char *metrics_listen;
	char *metrics_textfile;
	uint32_t metrics_peers; /* that have counters of their own; 0: none */

	char *node_id;
	char *log_id_file;
	char *domain_log_id_file;
	char *nodes_file;
	enum names_mode wireguard_names;
	char *wireguard_names_file; /* NAMES_FILE */
	char *tailscale_socket;	    /* of tailscaled's local API */

	struct device_config tun;
	uint32_t max_flows;
	struct device_config sock;
	enum underlay_mode underlay;
	char **underlay_devices;

	enum routes_mode routes_mode;
	struct prefix_list tailnet;
	struct prefix_list tailnet_exclude;
	struct route_lists routes;
	bool subnet_route_connected; /* the list holds the word connected */

	int64_t period; /* ns */
	enum exit_traffic exit_traffic;
	struct prefix_list ignore_addrs; /* single addresses */
	uint64_t max_message_size;
	int64_t heartbeat; /* ns; 0 none */
	bool peer_events;
	bool details;	 /* entries have them */
	bool drops;	 /* packets that the kernel throws away are counted */
	bool fold_ports; /* only with details */

	char *spool_directory;
	uint64_t spool_max_size;
	enum spool_sync spool_sync;
	int64_t spool_sync_interval; /* ns */
	int64_t spool_retain;	     /* ns */

	struct sink_config *sinks;
	size_t n_sinks;
};

void config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free);

/* Of a spool's max-size: bytes held in reserve for the state of sinks; bytes left for segments and what is
 * kept of damage. */
uint64_t config_spool_reserve(uint64_t max_size);
uint64_t config_spool_usable(uint64_t max_size);

/* For a reload. */
bool device_config_equal(const struct device_config *a, const struct device_config *b);
bool route_lists_equal(const struct route_lists *a, const struct route_lists *b);
bool sink_config_equal(const struct sink_config *a, const struct sink_config *b);
/* The key of the first difference that needs a restart ("[spool] directory"), or NULL. */
const char *config_restart_needed(const struct config *running, const struct config *wanted);
