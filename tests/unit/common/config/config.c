/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file: values, defaults, and every error with its line. */

#include "common/config/config.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/config/keys.h"
#include "common/config/load.h"
#include "common/file.h"
#include "common/time_text.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct config *parse(const char *text)
{
	struct config_error error = {};
	struct config *config = NULL;
	int r = config_parse("test.conf", text, strlen(text), &config, &error);

	ck_assert_msg(r == 0, "%s:%u: %s", error.file, error.line, error.reason);
	ck_assert_ptr_null(error.reason);
	return config;
}

static void assert_list(const struct prefix_list *list, const char *expected)
{
	char text[1000] = "", item[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < list->n; i++) {
		prefix_format(&list->items[i], item);
		if (i > 0)
			strcat(text, " ");
		strcat(text, item);
	}
	ck_assert_str_eq(text, expected);
}

START_TEST(test_defaults)
{
	struct config *config = parse("[tun]\ninterface = wg0\n");

	ck_assert_str_eq(config->file, "test.conf");
	ck_assert_str_eq(config->state_directory, "/var/lib/netlogd");
	ck_assert_str_eq(config->upload_directory, "/var/lib/netlogd/upload");
	ck_assert_str_eq(config->control_socket, "/run/netlogd/control.sock");
	ck_assert_str_eq(config->control_group, "netlogd");
	ck_assert(!config->control_group_named);
	ck_assert_ptr_null(config->operators);
	ck_assert_int_eq(config->log_level, LOG_LEVEL_INFO);
	ck_assert(config->autostart);
	ck_assert_ptr_null(config->metrics_listen);
	ck_assert_ptr_null(config->metrics_textfile);
	ck_assert_ptr_null(config->node_id);
	ck_assert_str_eq(config->log_id_file, "/var/lib/netlogd/upload/node.logid");
	ck_assert_ptr_null(config->domain_log_id_file);
	ck_assert_ptr_null(config->nodes_file);
	ck_assert_int_eq(config->tun.source, SOURCE_AUTO);
	ck_assert_str_eq(config->tun.interface, "wg0");
	ck_assert_uint_eq(config->max_flows, 65536);
	ck_assert_int_eq(config->sock.source, SOURCE_AUTO);
	ck_assert_str_eq(config->sock.interface, "wg0");
	ck_assert_int_eq(config->underlay, UNDERLAY_AUTO);
	ck_assert_int_eq(config->routes_mode, ROUTES_MODE_AUTO);
	assert_list(&config->tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	assert_list(&config->tailnet_exclude, "100.115.92.0/23");
	assert_list(&config->routes.local_addrs, "");
	assert_list(&config->routes.routes, "");
	assert_list(&config->routes.subnet_routes, "");
	ck_assert(!config->subnet_route_connected);
	ck_assert_int_eq(config->period, 5 * NSEC_PER_SEC);
	ck_assert_int_eq(config->exit_traffic, EXIT_TRAFFIC_AGGREGATE);
	assert_list(&config->ignore_addrs, "100.100.100.100/32 fd7a:115c:a1e0::53/128");
	ck_assert_uint_eq(config->max_message_size, 262144);
	ck_assert_int_eq(config->heartbeat, 900 * NSEC_PER_SEC);
	ck_assert(config->peer_events);
	ck_assert_str_eq(config->spool_directory, "/var/lib/netlogd/spool");
	ck_assert_uint_eq(config->spool_max_size, 512 << 20);
	ck_assert_int_eq(config->spool_sync, SPOOL_SYNC_INTERVAL);
	ck_assert_int_eq(config->spool_sync_interval, NSEC_PER_SEC);
	ck_assert_int_eq(config->spool_retain, 0);
	ck_assert_uint_eq(config->n_sinks, 0);
	config_free(config);
}
END_TEST

START_TEST(test_values)
{
	struct config *config = parse("\xef\xbb\xbf# comment\r\n"
				      "[netlogd]\r\n"
				      "state-directory = /s ; comment\r\n"
				      "control-group = ops\r\n"
				      "operators = alice, bob\r\n"
				      "log-level=debug\r\n"
				      "autostart=no\r\n"
				      "metrics-listen=[::1]:9586\r\n"
				      "[node]\n"
				      "id = a node # 7\n"
				      "[tun]\n"
				      "source=stats\n"
				      "stats-socket=/run/vpn.sock\n"
				      "max-flows=1\n"
				      "[sock]\n"
				      "source=wireguard\n"
				      "interface=utun3\n"
				      "underlay=eth0,eth1\n");

	ck_assert_str_eq(config->state_directory, "/s");
	ck_assert_str_eq(config->upload_directory, "/s/upload");
	ck_assert_str_eq(config->spool_directory, "/s/spool");
	ck_assert_str_eq(config->log_id_file, "/s/upload/node.logid");
	ck_assert_str_eq(config->control_group, "ops");
	ck_assert(config->control_group_named);
	ck_assert_str_eq(config->operators[1], "bob");
	ck_assert_ptr_null(config->operators[2]);
	ck_assert_int_eq(config->log_level, LOG_LEVEL_DEBUG);
	ck_assert(!config->autostart);
	ck_assert_str_eq(config->metrics_listen, "[::1]:9586");
	ck_assert_str_eq(config->node_id, "a node # 7");
	ck_assert_int_eq(config->tun.source, SOURCE_STATS);
	ck_assert_str_eq(config->tun.stats_socket, "/run/vpn.sock");
	ck_assert_ptr_null(config->tun.interface);
	ck_assert_uint_eq(config->max_flows, 1);
	ck_assert_int_eq(config->sock.source, SOURCE_WIREGUARD);
	ck_assert_str_eq(config->sock.interface, "utun3");
	ck_assert_int_eq(config->underlay, UNDERLAY_LIST);
	ck_assert_str_eq(config->underlay_devices[0], "eth0");
	ck_assert_str_eq(config->underlay_devices[1], "eth1");
	config_free(config);
}
END_TEST

START_TEST(test_more_values)
{
	struct config *config = parse("[tun]\ninterface=wg0\n"
				      "[routes]\n"
				      "mode=static\n"
				      "tailnet=\n"
				      "local-addr=100.64.0.1\n"
				      "route=10.0.0.0/8,\n"
				      "  # within the list\n"
				      "  192.168.0.0/16 ; comment\n"
				      "\n"
				      "\tfd00::/8\n"
				      "subnet-route=10.1.0.0/16,connected\n"
				      "[record]\n"
				      "period=100ms\n"
				      "exit-traffic=full\n"
				      "ignore-addr=\n"
				      "heartbeat=0\n"
				      "peer-events=off\n"
				      "max-message-size=4K\n"
				      "[spool]\n"
				      "max-size=1M\n"
				      "sync=always\n"
				      "retain=7d");

	ck_assert_int_eq(config->routes_mode, ROUTES_MODE_STATIC);
	assert_list(&config->tailnet, "");
	assert_list(&config->routes.local_addrs, "100.64.0.1/32");
	assert_list(&config->routes.routes, "10.0.0.0/8 192.168.0.0/16 fd00::/8");
	assert_list(&config->routes.subnet_routes, "10.1.0.0/16");
	ck_assert(config->subnet_route_connected);
	ck_assert_int_eq(config->period, 100 * NSEC_PER_MSEC);
	ck_assert_int_eq(config->exit_traffic, EXIT_TRAFFIC_FULL);
	assert_list(&config->ignore_addrs, "");
	ck_assert_int_eq(config->heartbeat, 0);
	ck_assert(!config->peer_events);
	ck_assert_uint_eq(config->max_message_size, 4096);
	ck_assert_uint_eq(config->spool_max_size, 1 << 20);
	ck_assert_int_eq(config->spool_sync, SPOOL_SYNC_ALWAYS);
	ck_assert_int_eq(config->spool_retain, 7 * (86400 * NSEC_PER_SEC));
	config_free(config);
}
END_TEST

START_TEST(test_sinks)
{
	struct config *config = parse("[tun]\nsource=none\n"
				      "[upload a.b-c_1]\n"
				      "collection=flows\n"
				      "url=https://[2001:db8::1]:8443/base\n"
				      "type=logtail\n"
				      "header=X-A: b, X-C: d:e\n"
				      "[ upload  db ]\n"
				      "type=clickhouse\n"
				      "url=HTTP://LocalHost:8123\n"
				      "table=flows\n"
				      "user=u\n"
				      "password-file=/p\n"
				      "rate-limit=1M\n"
				      "settings=a=1,b_c=x=y\n"
				      "[upload lines]\n"
				      "type=file\n"
				      "path=/var/log/flows\n"
				      "flush-interval=1m\n");
	const struct sink_config *sink = config->sinks;

	ck_assert_uint_eq(config->n_sinks, 3);
	ck_assert_str_eq(sink->name, "a.b-c_1");
	ck_assert_uint_eq(sink->line, 3);
	ck_assert_int_eq(sink->type, SINK_TYPE_LOGTAIL);
	ck_assert_str_eq(sink->url, "https://[2001:db8::1]:8443/base");
	ck_assert_str_eq(sink->collection, "flows");
	ck_assert_int_eq(sink->compression, SINK_COMPRESSION_AUTO);
	ck_assert_uint_eq(sink->max_batch_size, 262144);
	ck_assert_int_eq(sink->flush_interval, 0);
	ck_assert_int_eq(sink->timeout, 45 * NSEC_PER_SEC);
	ck_assert_uint_eq(sink->rate_limit, 0);
	ck_assert_str_eq(sink->headers[0], "X-A: b");
	ck_assert_str_eq(sink->headers[1], "X-C: d:e");
	ck_assert_ptr_null(sink->headers[2]);
	sink++;
	ck_assert_str_eq(sink->name, "db");
	ck_assert_int_eq(sink->type, SINK_TYPE_CLICKHOUSE);
	ck_assert_str_eq(sink->database, "default");
	ck_assert_uint_eq(sink->max_batch_size, 16 << 20);
	ck_assert_uint_eq(sink->max_rows, 50000);
	ck_assert_int_eq(sink->flush_interval, 60 * NSEC_PER_SEC);
	ck_assert_uint_eq(sink->rate_limit, 1 << 20);
	ck_assert_str_eq(sink->settings[1], "b_c=x=y");
	sink++;
	ck_assert_str_eq(sink->name, "lines");
	ck_assert_int_eq(sink->type, SINK_TYPE_FILE);
	ck_assert_str_eq(sink->path, "/var/log/flows");
	ck_assert_ptr_null(sink->url);
	ck_assert_int_eq(sink->flush_interval, 60 * NSEC_PER_SEC);
	ck_assert_ptr_null(config->sock.interface);
	ck_assert_int_eq(config->sock.source, SOURCE_NONE);
	config_free(config);
}
END_TEST

/* Written empty: no value, whatever the default. */
START_TEST(test_empty)
{
	struct config *config = parse("[netlogd]\ncontrol-group=\nmetrics-listen = \n"
				      "[tun]\ninterface=wg0\n"
				      "[sock]\ninterface=\n"
				      "[record]\nheartbeat=\n"
				      "[upload a]\ntype=file\npath=/p\nrate-limit=\n");

	ck_assert_ptr_null(config->control_group);
	ck_assert(!config->control_group_named);
	ck_assert_ptr_null(config->metrics_listen);
	ck_assert_ptr_null(config->sock.interface);
	ck_assert_int_eq(config->sock.source, SOURCE_NONE);
	ck_assert_int_eq(config->heartbeat, 0);
	config_free(config);
}
END_TEST

#define TUN	"[tun]\ninterface=wg0\n"
#define LOGTAIL TUN "[upload a]\ntype=logtail\ncollection=c\n"
#define TEN	"0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *text;
	unsigned int line;
	const char *reason;
} errors[] = {
	/* the form */
	{"[tun\n", 1, "expected ] at the end of the section's name"},
	{"[tun] x\n", 1, "expected nothing after ]"},
	{" [tun]\n", 1, "expected [ at the beginning of the line"},
	{"\ninterface=wg0\n", 2, "expected a [section] before \"interface\""},
	{TUN "source\n", 3, "expected \"key = value\""},
	{TUN "source\nmax-flows=0\n", 3, "expected \"key = value\""},
	{TUN "[record]\n[tun]\n", 4, "section [tun] already begins in line 1"},
	{TUN "[upload a]\ntype=file\npath=/a\n[upload a]\n", 6,
	 "section [upload a] already begins in line 3"},
	{TUN "max-flows=5\ninterface=wg1\n", 4, "interface is already set in line 2"},
	{TUN " source=ebpf\n", 3, "only a list continues on an indented line, and interface is not one"},
	{TUN "[node]\nid=" HUNDRED HUNDRED HUNDRED "\nname\n", 5, "expected \"key = value\""},
	{TUN "[node]\nid=" HUNDRED HUNDRED HUNDRED "\n\n", 4,
	 "id = " HUNDRED HUNDRED HUNDRED ": expected a text of at most 255 bytes"},
	{TUN HUNDRED HUNDRED "=1\n", 3, "expected \"key = value\""},
	/* names */
	{TUN "[recrod]\nperiod=5s\n", 3,
	 "unknown section [recrod]: expected one of netlogd, node, tun, sock, routes, record, spool, upload NAME"},
	{TUN "[recrod]\n", 3,
	 "unknown section [recrod]: expected one of netlogd, node, tun, sock, routes, record, spool, upload NAME"},
	{"[tun a]\n", 1,
	 "unknown section [tun a]: expected one of netlogd, node, tun, sock, routes, record, spool, upload NAME"},
	{"[]\n", 1,
	 "unknown section []: expected one of netlogd, node, tun, sock, routes, record, spool, upload NAME"},
	{"[spool]\nsize=1M\n", 2,
	 "unknown key \"size\": expected in [spool] one of directory, max-size, sync, sync-interval, retain"},
	{"[spool]\nMax-Size=1M\n", 2,
	 "unknown key \"Max-Size\": expected in [spool] one of directory, max-size, sync, sync-interval, retain"},
	{"[upload]\n", 1,
	 "[upload ]: expected a name of 1 to 64 letters, digits, '_', '.' and '-', not beginning with '.', and "
	 "not \"ids\" or \"node.logid\""},
	/* values */
	{TUN "[record]\nperiod=99ms\n", 4, "period = 99ms: expected a duration from 100ms to 1h"},
	{TUN "[record]\nperiod=3601s\n", 4, "period = 3601s: expected a duration from 100ms to 1h"},
	{TUN "[record]\nperiod=5\n", 4, "period = 5: expected a duration from 100ms to 1h"},
	{TUN "[record]\nperiod=\n", 4, "period has no value: expected a duration from 100ms to 1h"},
	{TUN "[record]\nexit-traffic=some\n", 4,
	 "exit-traffic = some: expected aggregate, anonymize or full"},
	{TUN "[record]\nignore-addr=1.2.3.4,1.2.3.0/24\n", 4,
	 "ignore-addr = 1.2.3.0/24: expected single addresses"},
	{TUN "[record]\nmax-message-size=4095\n", 4,
	 "max-message-size = 4095: expected a size from 4K to 8M"},
	{TUN "[record]\nheartbeat=366d\n", 4, "heartbeat = 366d: expected a duration up to 365d, 0 for none"},
	{TUN "[record]\npeer-events=maybe\n", 4, "peer-events = maybe: expected yes or no"},
	{TUN "[spool]\nmax-size=1023K\n", 4, "max-size = 1023K: expected a size from 1M to 65536G"},
	{TUN "[spool]\nsync=never\n", 4, "sync = never: expected interval or always"},
	{TUN "[spool]\ndirectory=spool\n", 4, "directory = spool: expected an absolute path"},
	{TUN "[spool]\nsync-interval=0\n", 4, "sync-interval = 0: expected a duration from 1ms to 1h"},
	{TUN "max-flows=0\n", 3, "max-flows = 0: expected a number from 1 to 16777216"},
	{TUN "max-flows=4294967296\n", 3, "max-flows = 4294967296: expected a number from 1 to 16777216"},
	{TUN "source=wireguard\n", 3, "source = wireguard: expected auto, ebpf, packet, stats or none"},
	{TUN "source=tailscale\n", 3,
	 "source = tailscale: not yet supported (expected auto, ebpf, packet, stats or none)"},
	{TUN "[sock]\nsource=tailscale\n", 4,
	 "source = tailscale: not yet supported (expected auto, wireguard, stats or none)"},
	{TUN "[sock]\nsource=ebpf\n", 4, "source = ebpf: expected auto, wireguard, stats or none"},
	{TUN "[sock]\nunderlay=eth0,auto\n", 4, "underlay = auto: expected auto, none or interface names"},
	{TUN "[sock]\nunderlay=,\n", 4, "underlay = ,: expected auto, none or interface names"},
	{TUN "[sock]\nunderlay=eth/0\n", 4, "underlay = eth/0: expected auto, none or interface names"},
	{"[tun]\ninterface=sixteen-letters-\n", 2,
	 "interface = sixteen-letters-: expected an interface name (at most 15 characters)"},
	{"[tun]\ninterface=..\n", 2, "interface = ..: expected an interface name (at most 15 characters)"},
	{TUN "[routes]\nroute=10.0.0.0/8,10.0.0.0/33\n", 4,
	 "route = 10.0.0.0/33: expected addresses or prefixes, e.g. 10.1.0.0/16, fd00:1::/64"},
	{TUN "[routes]\nroute=connected\n", 4,
	 "route = connected: expected addresses or prefixes, e.g. 10.1.0.0/16, fd00:1::/64"},
	{TUN "[routes]\nsubnet-route=all\n", 4,
	 "subnet-route = all: expected addresses or prefixes, e.g. 10.1.0.0/16, fd00:1::/64, or the word connected"},
	{TUN "[netlogd]\nlog-level=loud\n", 4, "log-level = loud: expected error, warning, info or debug"},
	{TUN "[netlogd]\nmetrics-listen=9586\n", 4,
	 "metrics-listen = 9586: expected a loopback address and port, e.g. 127.0.0.1:9586"},
	{TUN "[netlogd]\nmetrics-listen=0.0.0.0:9586\n", 4,
	 "metrics-listen = 0.0.0.0:9586: expected a loopback address and port, e.g. 127.0.0.1:9586"},
	{TUN "[netlogd]\nmetrics-listen=[2001:db8::1]:9586\n", 4,
	 "metrics-listen = [2001:db8::1]:9586: expected a loopback address and port, e.g. 127.0.0.1:9586"},
	{TUN "[netlogd]\noperators=alice,b c\n", 4, "operators = b c: expected names of users"},
	{TUN "[netlogd]\ncontrol-socket=/a/upload.sock\n", 4,
	 "control-socket: expected a file name other than upload.sock, which is the uploader's"},
	{TUN "[netlogd]\ncontrol-socket=/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\n", 4,
	 "control-socket = /" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
	 ": expected an absolute path of at most 107 bytes"},
	{TUN "[netlogd]\nupload-directory=/x\n[spool]\ndirectory=/x\n", 6,
	 "expected the spool and the uploader in different directories, neither within the other"},
	{TUN "[netlogd]\nupload-directory=/x/\n[spool]\ndirectory=/x/y\n", 6,
	 "expected the spool and the uploader in different directories, neither within the other"},
	{TUN "[netlogd]\nupload-directory=/x/y/z\n[spool]\ndirectory=/x/y\n", 6,
	 "expected the spool and the uploader in different directories, neither within the other"},
	{TUN "[netlogd]\nupload-directory=/x\nstate-directory=/x/y\n[spool]\ndirectory=/z\n", 4,
	 "expected a directory that does not contain the state directory"},
	/* what is needed */
	{"\n[tun]\nmax-flows=5\n", 2, "[tun] needs interface for source = auto"},
	{"[tun]\nmax-flows=5\nsource=packet\n", 3, "[tun] needs interface for source = packet"},
	{TUN "source=stats\n", 3, "[tun] needs stats-socket for source = stats"},
	{"[tun]\nsource=none\n[sock]\nsource=wireguard\n", 4,
	 "[sock] needs interface for source = wireguard"},
	{TUN "[sock]\nsource=stats\n", 4, "[sock] needs stats-socket for source = stats"},
	/* sinks */
	{TUN "[upload a]\nurl=https://a\n", 3, "[upload a] needs type: expected logtail, clickhouse or file"},
	{TUN "[upload a]\ntype=otlp\n", 4,
	 "type = otlp: not yet supported (expected logtail, clickhouse or file)"},
	{TUN "[upload a]\ntype=logtail\n", 3, "[upload a] needs url for type = logtail"},
	{TUN "[upload a]\ntype=logtail\nurl=https://a\n", 3,
	 "[upload a] needs collection for type = logtail"},
	{TUN "[upload a]\ntype=clickhouse\nurl=https://a\ntable=\n", 3,
	 "[upload a] needs table for type = clickhouse"},
	{TUN "[upload a]\ntype=file\n", 3, "[upload a] needs path for type = file"},
	{TUN "[upload a]\ntype=file\npath=/x\n[upload b]\npath=/x\ntype=file\n", 7,
	 "path = /x: [upload a] writes there already"},
	{TUN "[upload a]\npath=/a\nurl=https://a\ntype=file\n", 5, "url is not for type = file"},
	{LOGTAIL "url=https://a\ntable=t\n", 7, "table is not for type = logtail"},
	{LOGTAIL "url=https://a\ncompression=gzip\n", 7,
	 "compression = gzip: expected auto, zstd or none for type = logtail"},
	{LOGTAIL "url=https://a\npassword-file=/p\n", 7, "password-file needs user"},
	{LOGTAIL "url=https://a\nuser=u\nbearer-token-file=/p\n", 8,
	 "expected either bearer-token-file or user, not both"},
	{LOGTAIL "url=https://a\nkey-file=/p\n", 7, "key-file needs cert-file"},
	{LOGTAIL "url=https://a\ntimeout=0\n", 7, "timeout = 0: expected a duration from 100ms to 1h"},
	/* never repeats what may be secret */
	{LOGTAIL "url=https://a\nheader=Authorization secret\n", 7,
	 "header: expected headers as \"Name: value\""},
	{LOGTAIL "url=https://user:secret@a\n", 6,
	 "url: expected https://HOST[:PORT][/PATH], without user, query and fragment"},
	{LOGTAIL "url=http://a\n", 6, "url: http:// is only for loopback addresses: expected https://"},
};

static void assert_error(const char *text, size_t size, unsigned int line, const char *reason)
{
	struct config *config = (struct config *)&errors;
	struct config_error error;

	ck_assert_int_eq(config_parse("test.conf", text, size, &config, &error), -EINVAL);
	ck_assert_ptr_eq(config, &errors);
	ck_assert_str_eq(error.file, "test.conf");
	ck_assert_str_eq(error.reason, reason);
	ck_assert_uint_eq(error.line, line);
	config_error_deinit(&error);
	ck_assert_ptr_null(error.reason);
}

START_TEST(test_errors)
{
	assert_error(errors[_i].text, strlen(errors[_i].text), errors[_i].line, errors[_i].reason);
}
END_TEST

/* Longer than inih's buffer: nothing is cut, whatever stands where it had to be taken apart. */
/* A device that is not configured is the none device. */
START_TEST(test_no_devices)
{
	struct config *config = parse("");

	ck_assert_int_eq(config->tun.source, SOURCE_NONE);
	ck_assert_int_eq(config->sock.source, SOURCE_NONE);
	config_free(config);
	config = parse("[sock]\nsource=stats\nstats-socket=/s\n");
	ck_assert_int_eq(config->tun.source, SOURCE_NONE);
	ck_assert_int_eq(config->sock.source, SOURCE_STATS);
	config_free(config);
}
END_TEST

START_TEST(test_given_devices)
{
	static const struct {
		const char *section;
		struct device_config device;
		const char *reason; /* NULL: it can be */
	} cases[] = {
		{"tun", {SOURCE_AUTO, (char *)"wg0", NULL}, NULL},
		{"tun", {SOURCE_NONE, NULL, NULL}, NULL},
		{"sock", {SOURCE_STATS, NULL, (char *)"/s"}, NULL},
		{"tun",
		 {SOURCE_EBPF, NULL, (char *)"/s"},
		 "source ebpf needs interface, neither given nor configured"},
		{"sock",
		 {SOURCE_STATS, (char *)"wg0", NULL},
		 "source stats needs stats-socket, neither given nor configured"},
		{"tun",
		 {SOURCE_WIREGUARD, (char *)"wg0", NULL},
		 "source wireguard: expected auto, ebpf, packet, stats or none"},
		{"sock",
		 {SOURCE_PACKET, (char *)"wg0", NULL},
		 "source packet: expected auto, wireguard, stats or none"},
		{"sock", {SOURCE_TAILSCALE, (char *)"wg0", NULL}, "source tailscale is not yet supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *reason = NULL;
		int r = device_config_check(cases[i].section, &cases[i].device, &reason);

		ck_assert_int_eq(r, cases[i].reason ? -EINVAL : 0);
		ck_assert_pstr_eq(reason, cases[i].reason);
	}
	ck_assert(config_is_interface("wg0") && !config_is_interface("") && !config_is_interface("a/b"));
	ck_assert(config_is_socket_path("/s") && !config_is_socket_path("s") && !config_is_socket_path(""));
}
END_TEST

START_TEST(test_long_lines)
{
	static char text[65536];
	size_t n = (size_t)sprintf(text, TUN "[routes]\nroute=");
	struct config *config;

	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(text + n, "%s10.%d.%d.0/24", i ? (i % 3 ? "," : " ,  ") : "", i / 256,
				     i % 256);
	n += (size_t)sprintf(text + n, " ; a comment, 10.0.0.0/8\n ");
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, "172.16.%d.0/24,", i);
	sprintf(text + n,
		"\n[upload a]\ntype=logtail\nurl=https://a\ncollection=c\n"
		"header=X: %s%s %s;%s\n",
		HUNDRED, HUNDRED, HUNDRED, HUNDRED);
	config = parse(text);
	ck_assert_uint_eq(config->routes.routes.n, 1100);
	for (size_t i = 0; i < 1000; i++) {
		char expected[32], found[PREFIX_TEXT_MAX];

		sprintf(expected, "10.%zu.%zu.0/24", i / 256, i % 256);
		prefix_format(&config->routes.routes.items[i], found);
		ck_assert_str_eq(found, expected);
	}
	ck_assert_str_eq(config->sinks[0].headers[0], "X: " HUNDRED HUNDRED " " HUNDRED ";" HUNDRED);
	config_free(config);
}
END_TEST

START_TEST(test_nul)
{
	static const char text[] = TUN "[node]\nid=a\0b\n";

	assert_error(text, sizeof(text) - 1, 4, "NUL byte: not a text file");
}
END_TEST

static const struct {
	const char *name;
	bool valid;
} sink_names[] = {
	{"a", true},	   {"A-Z_0.9", true}, {TEN TEN TEN TEN TEN TEN "0123", true},
	{"..", false},	   {".", false},      {".a", false},
	{"a/b", false},	   {"a b", false},    {TEN TEN TEN TEN TEN TEN "01234", false},
	{"ids", false},	   {"a*", false},     {"node.logid", false},
	{"\u00e4", false},
};

START_TEST(test_sink_names)
{
	_cleanup_free_ char *text = NULL;
	struct config *config = NULL;
	struct config_error error = {};
	int r;

	ck_assert_int_gt(asprintf(&text, TUN "[upload %s]\ntype=file\npath=/p\n", sink_names[_i].name), 0);
	r = config_parse("test.conf", text, strlen(text), &config, &error);
	ck_assert_msg(r == (sink_names[_i].valid ? 0 : -EINVAL), "%s", sink_names[_i].name);
	if (r == 0)
		ck_assert_str_eq(config->sinks[0].name, sink_names[_i].name);
	else
		ck_assert_uint_eq(error.line, 3);
	config_error_deinit(&error);
	config_free(config);
}
END_TEST

static const struct {
	const char *url;
	int result;
} urls[] = {
	{"https://log.example.net", 0},
	{"HTTPS://log.example.net:443/a/b", 0},
	{"https://192.0.2.1/", 0},
	{"https://[2001:db8::1]", 0},
	{"http://127.0.0.1:80", 0},
	{"http://127.255.0.9", 0},
	{"http://localhost", 0},
	{"http://[::1]:8080/x", 0},
	{"http://128.0.0.1", -EACCES},
	{"http://127.0.0.1.example.net", -EACCES},
	{"http://localhost.example.net", -EACCES},
	{"http://[::2]", -EACCES},
	{"http://[::ffff:127.0.0.1]", -EACCES},
	{"http://0177.0.0.1", -EACCES},
	{"ftp://localhost", -EINVAL},
	{"https:/a", -EINVAL},
	{"https://", -EINVAL},
	{"https:///a", -EINVAL},
	{"https://:80", -EINVAL},
	{"https://a:0", -EINVAL},
	{"https://a:", -EINVAL},
	{"https://a:65536", -EINVAL},
	{"https://a:b@c", -EINVAL},
	{"http://127.0.0.1@evil.example", -EINVAL},
	{"http://127.0.0.1\\@evil.example", -EINVAL},
	{"https://a?b", -EINVAL},
	{"https://a#b", -EINVAL},
	{"https://a b", -EINVAL},
	{"https://a\"b", -EINVAL},
	{"https://[::1", -EINVAL},
	{"https://[1.2.3.4]", -EINVAL},
	{"https://::1", -EINVAL},
};

START_TEST(test_urls)
{
	struct sink_config sink = {};
	const struct config_key *key = &config_keys[config_key_find("upload", "url")];
	char wrong[CONFIG_WRONG_MAX];

	ck_assert_msg(key->read(key, urls[_i].url, &sink, wrong) == urls[_i].result, "%s", urls[_i].url);
	if (urls[_i].result == 0)
		ck_assert_str_eq(sink.url, urls[_i].url);
	else
		ck_assert_ptr_null(sink.url);
	free(sink.url);
}
END_TEST

START_TEST(test_files)
{
	_cleanup_free_ char *path = path_in("netlogd.conf"), *huge = malloc(1024 * 1024 + 2);
	struct config *config = NULL;
	struct config_error error;

	ck_assert_int_eq(config_load(path, &config, &error), -ENOENT);
	ck_assert_str_eq(error.file, path);
	ck_assert_uint_eq(error.line, 0);
	ck_assert_str_eq(error.reason, "cannot be read: No such file or directory");
	config_error_deinit(&error);
	ck_assert_int_eq(config_load(test_directory(), &config, &error), -EISDIR);
	config_error_deinit(&error);

	memset(huge, '\n', 1024 * 1024 + 1);
	huge[1024 * 1024 + 1] = '\0';
	make_file(path, huge, 0600);
	ck_assert_int_eq(config_load(path, &config, &error), -EFBIG);
	ck_assert_str_eq(error.reason, "larger than 1048576 bytes");
	config_error_deinit(&error);

	make_file(path, TUN, 0600);
	ck_assert_int_eq(config_load(path, &config, &error), 0);
	ck_assert_str_eq(config->file, path);
	config_free(config);
}
END_TEST

static bool is_fallback(const char *line)
{
	return line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
}

/* The example with its "#key = value" lines, or its "# " lines behind the sinks' heading, made effective. */
static char *uncomment(const char *text, bool fallbacks, bool sinks)
{
	_cleanup_buffer_ struct buffer result = {};
	bool in_sinks = false;

	while (*text) {
		size_t n = (size_t)(strchrnul(text, '\n') - text);
		bool is_section = strncmp(text, "# [upload ", 10) == 0;
		bool is_value = in_sinks && text[0] == '#' && memmem(text, n, " = ", 3);

		in_sinks = in_sinks || is_section;
		if (fallbacks && is_fallback(text))
			buffer_append(&result, text + 1, n - 1);
		else if (sinks && (is_section || is_value))
			buffer_append(&result, text + 2, n - 2);
		else
			buffer_append(&result, text, n);
		buffer_append_char(&result, '\n');
		text += n + (text[n] == '\n');
	}
	return buffer_take(&result, NULL);
}

/* Every key is explained, and each default that stands in the example is the default. */
START_TEST(test_example)
{
	_cleanup_free_ char *text = NULL, *written = NULL, *sinks = NULL;
	struct config *plain, *full, *with_sinks;

	ck_assert_int_eq(file_read(AT_FDCWD, EXAMPLE, 1 << 20, &text, NULL, NULL), 0);
	for (size_t i = 0; i < config_keys_n; i++) {
		_cleanup_free_ char *key = NULL;

		ck_assert_int_gt(asprintf(&key, "%s =", config_keys[i].name), 0);
		ck_assert_msg(strstr(text, key) != NULL, "%s is not explained", key);
	}
	written = uncomment(text, true, false);
	sinks = uncomment(text, false, true);
	ck_assert_str_ne(written, text);
	plain = parse(text);
	full = parse(written);
	ck_assert_ptr_null(config_restart_needed(plain, full));
	ck_assert(device_config_equal(&plain->tun, &full->tun));
	ck_assert(device_config_equal(&plain->sock, &full->sock));
	ck_assert(route_lists_equal(&plain->routes, &full->routes));
	ck_assert(prefix_list_equal(&plain->tailnet, &full->tailnet));
	ck_assert(prefix_list_equal(&plain->tailnet_exclude, &full->tailnet_exclude));
	ck_assert(prefix_list_equal(&plain->ignore_addrs, &full->ignore_addrs));
	ck_assert_str_eq(plain->log_id_file, full->log_id_file);
	ck_assert_int_eq(plain->log_level, full->log_level);
	ck_assert_int_eq(plain->autostart, full->autostart);
	ck_assert_uint_eq(plain->max_flows, full->max_flows);
	ck_assert_int_eq(plain->underlay, full->underlay);
	ck_assert_int_eq(plain->routes_mode, full->routes_mode);
	ck_assert_int_eq(plain->period, full->period);
	ck_assert_int_eq(plain->exit_traffic, full->exit_traffic);
	ck_assert_uint_eq(plain->max_message_size, full->max_message_size);
	ck_assert_int_eq(plain->heartbeat, full->heartbeat);
	ck_assert_int_eq(plain->peer_events, full->peer_events);
	ck_assert_uint_eq(plain->spool_max_size, full->spool_max_size);
	ck_assert_int_eq(plain->spool_sync, full->spool_sync);
	ck_assert_int_eq(plain->spool_sync_interval, full->spool_sync_interval);
	ck_assert_int_eq(plain->spool_retain, full->spool_retain);
	with_sinks = parse(sinks);
	ck_assert_uint_eq(with_sinks->n_sinks, 3);
	ck_assert_int_eq(with_sinks->sinks[1].type, SINK_TYPE_CLICKHOUSE);
	config_free(plain);
	config_free(full);
	config_free(with_sinks);
}
END_TEST

START_TEST(test_equality)
{
	struct config *a = parse(LOGTAIL "url=https://a\nheader=A: b\n[routes]\nroute=10.0.0.0/8\n");
	struct config *b = parse(LOGTAIL "url=https://a\nheader=A: b\n[routes]\nroute=10.0.0.0/8\n");
	struct config *c =
		parse("[tun]\ninterface=wg1\n[upload a]\ntype=logtail\ncollection=c\nurl=https://a\n"
		      "header=A: b, C: d\n[routes]\nroute=10.0.0.0/9\n[spool]\ndirectory=/x\n");
	struct route_lists copy;

	ck_assert(device_config_equal(&a->tun, &b->tun));
	ck_assert(!device_config_equal(&a->tun, &c->tun));
	ck_assert(sink_config_equal(&a->sinks[0], &b->sinks[0]));
	ck_assert(!sink_config_equal(&a->sinks[0], &c->sinks[0]));
	ck_assert(route_lists_equal(&a->routes, &b->routes));
	ck_assert(!route_lists_equal(&a->routes, &c->routes));
	ck_assert_int_eq(route_lists_copy(&a->routes, &copy), 0);
	ck_assert(route_lists_equal(&a->routes, &copy));
	route_lists_deinit(&copy);
	ck_assert_ptr_null(config_restart_needed(a, b));
	ck_assert_str_eq(config_restart_needed(a, c), "[spool] directory");
	config_free(a);
	config_free(b);
	config_free(c);
}
END_TEST

START_TEST(test_names)
{
	for (unsigned int source = SOURCE_AUTO; source <= SOURCE_TAILSCALE; source++) {
		const char *name = device_source_name((enum device_source)source);
		enum device_source again;

		ck_assert_str_ne(name, "");
		ck_assert_int_eq(device_source_parse(name, &again), 0);
		ck_assert_uint_eq(again, source);
	}
	ck_assert_str_eq(device_source_name(SOURCE_WIREGUARD), "wireguard");
	ck_assert_int_eq(device_source_parse("x", &(enum device_source){0}), -EINVAL);
	ck_assert_str_eq(sink_type_name(SINK_TYPE_CLICKHOUSE), "clickhouse");
	ck_assert_str_eq(exit_traffic_name(EXIT_TRAFFIC_ANONYMIZE), "anonymize");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *test_case = tcase_create("config");

	add_directory(test_case);
	tcase_add_test(test_case, test_defaults);
	tcase_add_test(test_case, test_values);
	tcase_add_test(test_case, test_more_values);
	tcase_add_test(test_case, test_sinks);
	tcase_add_test(test_case, test_empty);
	tcase_add_loop_test(test_case, test_errors, 0, ARRAY_SIZE(errors));
	tcase_add_test(test_case, test_no_devices);
	tcase_add_test(test_case, test_given_devices);
	tcase_add_test(test_case, test_long_lines);
	tcase_add_test(test_case, test_nul);
	tcase_add_loop_test(test_case, test_sink_names, 0, ARRAY_SIZE(sink_names));
	tcase_add_loop_test(test_case, test_urls, 0, ARRAY_SIZE(urls));
	tcase_add_test(test_case, test_files);
	tcase_add_test(test_case, test_example);
	tcase_add_test(test_case, test_equality);
	tcase_add_test(test_case, test_names);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
