/* SPDX-License-Identifier: BSD-3-Clause */
/* Every section and key of the configuration file. */

#include "common/config/keys.h"
#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define SECOND (uint64_t) NSEC_PER_SEC
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static const struct config_choice log_levels[] = {
	{"error", LOG_LEVEL_ERROR},
	{"warning", LOG_LEVEL_WARNING},
	{"info", LOG_LEVEL_INFO},
	{"debug", LOG_LEVEL_DEBUG},
	{NULL},
};
static const struct config_choice tun_sources[] = {
	{"auto", SOURCE_AUTO},	   {"none", SOURCE_NONE},   {"ebpf", SOURCE_EBPF},
	{"packet", SOURCE_PACKET}, {"stats", SOURCE_STATS}, {NULL},
};
static const struct config_choice sock_sources[] = {
	{"auto", SOURCE_AUTO},		 {"none", SOURCE_NONE},		  {"stats", SOURCE_STATS},
	{"wireguard", SOURCE_WIREGUARD}, {"tailscale", SOURCE_TAILSCALE}, {NULL},
};
static const struct config_choice routes_modes[] = {
	{"auto", ROUTES_MODE_AUTO},
	{"static", ROUTES_MODE_STATIC},
	{NULL},
};
static const struct config_choice exit_traffics[] = {
	{"aggregate", EXIT_TRAFFIC_AGGREGATE},
	{"anonymize", EXIT_TRAFFIC_ANONYMIZE},
	{"full", EXIT_TRAFFIC_FULL},
	{NULL},
};
static const struct config_choice spool_syncs[] = {
	{"interval", SPOOL_SYNC_INTERVAL},
	{"always", SPOOL_SYNC_ALWAYS},
	{NULL},
};
static const struct config_choice sink_types[] = {
	{"logtail", SINK_TYPE_LOGTAIL},
	{"clickhouse", SINK_TYPE_CLICKHOUSE},
	{"otlp", SINK_TYPE_OTLP, true},
	{"file", SINK_TYPE_FILE},
	{NULL},
};
static const struct config_choice compressions[] = {
	{"auto", SINK_COMPRESSION_AUTO},
	{"zstd", SINK_COMPRESSION_ZSTD},
	{"gzip", SINK_COMPRESSION_GZIP},
	{"none", SINK_COMPRESSION_NONE},
	{NULL},
};

#define LOGTAIL	   (1U << SINK_TYPE_LOGTAIL)
#define CLICKHOUSE (1U << SINK_TYPE_CLICKHOUSE)
#define OTLP	   (1U << SINK_TYPE_OTLP)
#define LINES	   (1U << SINK_TYPE_FILE)
#define HTTP	   (LOGTAIL | CLICKHOUSE | OTLP)
#define ANY	   (HTTP | LINES)

#define IN(member)	.offset = offsetof(struct config, member)
#define IN_SINK(member) .offset = offsetof(struct sink_config, member)
#define OPTIONAL_LIST	(CONFIG_KEY_OPTIONAL | CONFIG_KEY_LIST)

#define A_PATH	  "an absolute path"
#define A_SOCKET  "an absolute path of at most 107 bytes"
#define INTERFACE "an interface name (at most 15 characters)"
#define PREFIXES  "addresses or prefixes, e.g. 10.1.0.0/16, fd00:1::/64"
#define YES_OR_NO "yes or no"

/* clang-format off */
const struct config_key config_keys[] = {
	{ "netlogd", "state-directory", "/var/lib/netlogd", NULL, config_read_path, IN(state_directory),
	  .expected = A_PATH },
	{ "netlogd", "upload-directory", NULL, NULL, config_read_path, IN(upload_directory), .expected = A_PATH },
	{ "netlogd", "control-socket", "/run/netlogd/control.sock", NULL, config_read_socket_path,
	  IN(control_socket), .expected = A_SOCKET },
	{ "netlogd", "control-group", "netlogd", NULL, config_read_name, IN(control_group), CONFIG_KEY_OPTIONAL,
	  .expected = "the name of a group" },
	{ "netlogd", "operators", NULL, NULL, config_read_names, IN(operators), OPTIONAL_LIST,
	  .expected = "names of users" },
	{ "netlogd", "log-level", "info", NULL, config_read_choice, IN(log_level), .choices = log_levels,
	  .expected = "error, warning, info or debug" },
	{ "netlogd", "autostart", "yes", NULL, config_read_bool, IN(autostart), .expected = YES_OR_NO },
	{ "netlogd", "metrics-listen", NULL, NULL, config_read_loopback, IN(metrics_listen), CONFIG_KEY_OPTIONAL,
	  .expected = "a loopback address and port, e.g. 127.0.0.1:9586" },
	{ "netlogd", "metrics-textfile", NULL, NULL, config_read_path, IN(metrics_textfile), CONFIG_KEY_OPTIONAL,
	  .expected = A_PATH },
	{ "netlogd", "metrics-peers", "100", NULL, config_read_u32, IN(metrics_peers), .min = 0, .max = 1000,
	  .expected = "a number from 0 to 1000" },

	{ "node", "id", NULL, NULL, config_read_text, IN(node_id), CONFIG_KEY_OPTIONAL,
	  .expected = "at most 255 bytes, and no control characters" },
	{ "node", "log-id-file", NULL, NULL, config_read_path, IN(log_id_file), .expected = A_PATH },
	{ "node", "domain-log-id-file", NULL, NULL, config_read_path, IN(domain_log_id_file), CONFIG_KEY_OPTIONAL,
	  .expected = A_PATH },
	{ "node", "nodes-file", NULL, NULL, config_read_path, IN(nodes_file), CONFIG_KEY_OPTIONAL,
	  .expected = A_PATH },
	{ "node", "wireguard-names", "auto", NULL, config_read_names_file, IN(wireguard_names_file),
	  .expected = "auto, none or an absolute path" },
	{ "node", "tailscale-socket", "/run/tailscale/tailscaled.sock", NULL, config_read_socket_path,
	  IN(tailscale_socket), CONFIG_KEY_OPTIONAL, .expected = A_SOCKET },

	{ "tun", "source", "auto", NULL, config_read_choice, IN(tun.source), .choices = tun_sources,
	  .expected = "auto, ebpf, packet, stats or none" },
	{ "tun", "interface", NULL, NULL, config_read_interface, IN(tun.interface), CONFIG_KEY_OPTIONAL,
	  .expected = INTERFACE },
	{ "tun", "stats-socket", NULL, NULL, config_read_socket_path, IN(tun.stats_socket), CONFIG_KEY_OPTIONAL,
	  .expected = A_SOCKET },
	{ "tun", "max-flows", "65536", NULL, config_read_u32, IN(max_flows), .min = 1, .max = 16777216,
	  .expected = "a number from 1 to 16777216" },

	{ "sock", "source", "auto", NULL, config_read_choice, IN(sock.source), .choices = sock_sources,
	  .expected = "auto, wireguard, tailscale, stats or none" },
	{ "sock", "interface", NULL, NULL, config_read_interface, IN(sock.interface), CONFIG_KEY_OPTIONAL,
	  .expected = INTERFACE },
	{ "sock", "stats-socket", NULL, NULL, config_read_socket_path, IN(sock.stats_socket), CONFIG_KEY_OPTIONAL,
	  .expected = A_SOCKET },
	{ "sock", "underlay", "auto", NULL, config_read_underlay, IN(underlay_devices), CONFIG_KEY_LIST,
	  .expected = "auto, none or interface names" },

	{ "routes", "mode", "auto", NULL, config_read_choice, IN(routes_mode), .choices = routes_modes,
	  .expected = "auto or static" },
	{ "routes", "tailnet", "100.64.0.0/10,fd7a:115c:a1e0::/48", NULL, config_read_prefixes, IN(tailnet),
	  OPTIONAL_LIST, .expected = PREFIXES },
	{ "routes", "tailnet-exclude", "100.115.92.0/23", NULL, config_read_prefixes, IN(tailnet_exclude),
	  OPTIONAL_LIST, .expected = PREFIXES },
	{ "routes", "local-addr", NULL, NULL, config_read_prefixes, IN(routes.local_addrs), OPTIONAL_LIST,
	  .expected = PREFIXES },
	{ "routes", "route", NULL, NULL, config_read_prefixes, IN(routes.routes), OPTIONAL_LIST,
	  .expected = PREFIXES },
	{ "routes", "subnet-route", NULL, NULL, config_read_subnet_routes, IN(routes.subnet_routes), OPTIONAL_LIST,
	  .expected = PREFIXES ", or the word connected" },

	{ "record", "period", "5s", NULL, config_read_duration, IN(period), .min = SECOND / 10, .max = HOUR,
	  .expected = "a duration from 100ms to 1h" },
	{ "record", "exit-traffic", "aggregate", NULL, config_read_choice, IN(exit_traffic),
	  .choices = exit_traffics, .expected = "aggregate, anonymize or full" },
	{ "record", "ignore-addr", "100.100.100.100,fd7a:115c:a1e0::53", NULL, config_read_addresses,
	  IN(ignore_addrs), OPTIONAL_LIST, .expected = "single addresses" },
	{ "record", "max-message-size", "256K", NULL, config_read_size, IN(max_message_size), .min = 4 * KIB,
	  .max = 8 * MIB, .expected = "a size from 4K to 8M" },
	{ "record", "heartbeat", "15m", NULL, config_read_duration, IN(heartbeat), CONFIG_KEY_OPTIONAL, .min = 0,
	  .max = 365 * DAY, .expected = "a duration up to 365d, 0 for none" },
	{ "record", "peer-events", "yes", NULL, config_read_bool, IN(peer_events), .expected = YES_OR_NO },
	{ "record", "details", "yes", NULL, config_read_bool, IN(details), .expected = YES_OR_NO },
	{ "record", "drops", "yes", NULL, config_read_bool, IN(drops), .expected = YES_OR_NO },
	{ "record", "fold-ports", "no", NULL, config_read_bool, IN(fold_ports), .expected = YES_OR_NO },

	{ "spool", "directory", NULL, NULL, config_read_path, IN(spool_directory), .expected = A_PATH },
	{ "spool", "max-size", "512M", NULL, config_read_size, IN(spool_max_size), .min = MIB, .max = 65536 * GIB,
	  .expected = "a size from 1M to 65536G" },
	{ "spool", "sync", "interval", NULL, config_read_choice, IN(spool_sync), .choices = spool_syncs,
	  .expected = "interval or always" },
	{ "spool", "sync-interval", "1s", NULL, config_read_duration, IN(spool_sync_interval), .min = SECOND / 1000,
	  .max = HOUR, .expected = "a duration from 1ms to 1h" },
	{ "spool", "retain", "7d", NULL, config_read_duration, IN(spool_retain), CONFIG_KEY_OPTIONAL, .min = 0,
	  .max = 3650 * DAY, .expected = "a duration up to 3650d, 0 for none" },

	{ "upload", "type", NULL, NULL, config_read_choice, IN_SINK(type), .sinks = ANY, .choices = sink_types,
	  .expected = "logtail, clickhouse or file" },
	{ "upload", "url", NULL, NULL, config_read_url, IN_SINK(url), CONFIG_KEY_OPTIONAL | CONFIG_KEY_SECRET,
	  .sinks = HTTP,
	  .expected = "https://HOST[:PORT][/PATH], without user, query and fragment" },
	{ "upload", "collection", NULL, NULL, config_read_name, IN_SINK(collection), CONFIG_KEY_OPTIONAL,
	  .sinks = LOGTAIL, .expected = "letters, digits, '_', '.' and '-'" },
	{ "upload", "database", "default", NULL, config_read_text, IN_SINK(database), .sinks = CLICKHOUSE,
	  .expected = "the name of a database" },
	{ "upload", "table", NULL, NULL, config_read_text, IN_SINK(table), CONFIG_KEY_OPTIONAL, .sinks = CLICKHOUSE,
	  .expected = "the name of a table" },
	{ "upload", "path", NULL, NULL, config_read_path, IN_SINK(path), CONFIG_KEY_OPTIONAL, .sinks = LINES,
	  .expected = A_PATH },
	{ "upload", "compression", "auto", NULL, config_read_choice, IN_SINK(compression), .sinks = HTTP,
	  .choices = compressions, .expected = "auto, zstd, gzip or none" },
	{ "upload", "max-batch-size", "256K", "16M", config_read_size, IN_SINK(max_batch_size), .sinks = ANY,
	  .min = 4 * KIB, .max = 256 * MIB, .expected = "a size from 4K to 256M" },
	{ "upload", "max-rows", "50000", NULL, config_read_u64, IN_SINK(max_rows), .sinks = CLICKHOUSE | OTLP,
	  .min = 1, .max = 10000000, .expected = "a number from 1 to 10000000" },
	{ "upload", "flush-interval", "0", "60s", config_read_duration, IN_SINK(flush_interval), .sinks = ANY,
	  .min = 0, .max = 24 * HOUR, .expected = "a duration up to 24h" },
	{ "upload", "rate-limit", NULL, NULL, config_read_size, IN_SINK(rate_limit), CONFIG_KEY_OPTIONAL, .sinks = ANY,
	  .min = 0, .max = 1024 * GIB, .expected = "bytes per second, e.g. 512K" },
	{ "upload", "timeout", "45s", NULL, config_read_duration, IN_SINK(timeout), .sinks = HTTP,
	  .min = SECOND / 10, .max = HOUR, .expected = "a duration from 100ms to 1h" },
	{ "upload", "header", NULL, NULL, config_read_headers, IN_SINK(headers), OPTIONAL_LIST | CONFIG_KEY_SECRET,
	  .sinks = HTTP, .expected = "headers as \"Name: value\"" },
	{ "upload", "bearer-token-file", NULL, NULL, config_read_path, IN_SINK(bearer_token_file), CONFIG_KEY_OPTIONAL,
	  .sinks = HTTP, .expected = A_PATH },
	{ "upload", "user", NULL, NULL, config_read_text, IN_SINK(user), CONFIG_KEY_OPTIONAL, .sinks = HTTP,
	  .expected = "a user name" },
	{ "upload", "password-file", NULL, NULL, config_read_path, IN_SINK(password_file), CONFIG_KEY_OPTIONAL,
	  .sinks = HTTP, .expected = A_PATH },
	{ "upload", "ca-file", NULL, NULL, config_read_path, IN_SINK(ca_file), CONFIG_KEY_OPTIONAL, .sinks = HTTP,
	  .expected = A_PATH },
	{ "upload", "cert-file", NULL, NULL, config_read_path, IN_SINK(cert_file), CONFIG_KEY_OPTIONAL, .sinks = HTTP,
	  .expected = A_PATH },
	{ "upload", "key-file", NULL, NULL, config_read_path, IN_SINK(key_file), CONFIG_KEY_OPTIONAL, .sinks = HTTP,
	  .expected = A_PATH },
	{ "upload", "settings", NULL, NULL, config_read_settings, IN_SINK(settings), OPTIONAL_LIST,
	  .sinks = CLICKHOUSE, .expected = "settings as name=value" },
};
/* clang-format on */
const size_t config_keys_n = ARRAY_SIZE(config_keys);
_Static_assert(ARRAY_SIZE(config_keys) <= CONFIG_KEYS_MAX, "lines of keys are kept in an array");

int config_key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < config_keys_n; i++)
		if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
			return (int)i;
	return -1;
}

static const char *choice_text(const struct config_choice *choices, unsigned int value)
{
	for (; choices->text; choices++)
		if (choices->value == value)
			return choices->text;
	return "";
}

const char *device_source_name(enum device_source source)
{
	return choice_text(source == SOURCE_WIREGUARD || source == SOURCE_TAILSCALE ? sock_sources
										    : tun_sources,
			   source);
}

int device_source_parse(const char *text, enum device_source *ret_source)
{
	for (unsigned int source = SOURCE_AUTO; source <= SOURCE_TAILSCALE; source++)
		if (strcmp(text, device_source_name((enum device_source)source)) == 0) {
			*ret_source = (enum device_source)source;
			return 0;
		}
	return -EINVAL;
}

const char *sink_type_name(enum sink_type type)
{
	return choice_text(sink_types, type);
}

const char *exit_traffic_name(enum exit_traffic exit_traffic)
{
	return choice_text(exit_traffics, exit_traffic);
}
