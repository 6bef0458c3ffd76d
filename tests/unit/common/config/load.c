/* SPDX-License-Identifier: BSD-3-Clause */
/* From sections to one structure: defaults, what has to fit together, and files. */

#include "common/config/load.h"

#include "common/time_text.h"
#include "tests/unit/common/config/support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *host_name(void)
{
	static struct utsname names;

	ck_assert_int_eq(uname(&names), 0);
	return names.nodename;
}

/* As it is when the file is read: another one is seen at a reload. */
START_TEST(node_id_is_the_host_name)
{
	static const struct {
		const char *host, *id;
	} cases[] = {
		{"gate.example.net", "gate.example.net"},
		{"a-name_of 64 bytes;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		 "a-name_of 64 bytes;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"a\033[2Jb\xff", "a?[2Jb?"},
		{"(none)", NULL},
		{"", NULL},
	};
	struct config *config;

	if (unshare(CLONE_NEWUTS) < 0)
		return; /* only root may */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(sethostname(cases[i].host, strlen(cases[i].host)), 0);
		config = parse_config("[tun]\ninterface = wg0\n");
		ck_assert_pstr_eq(config->node_id, cases[i].id);
		config_free(config);
	}
	config = parse_config("[node]\nid =\n[tun]\ninterface = wg0\n");
	ck_assert_ptr_null(config->node_id);
	config_free(config);
}
END_TEST

START_TEST(wireguard_names)
{
	struct config *config =
		parse_config("[node]\nwireguard-names = /etc/names.conf\n[tun]\ninterface = wg0\n");

	ck_assert_int_eq(config->wireguard_names, NAMES_FILE);
	ck_assert_str_eq(config->wireguard_names_file, "/etc/names.conf");
	config_free(config);
	config = parse_config("[node]\nwireguard-names = none\n[tun]\ninterface = wg0\n");
	ck_assert_int_eq(config->wireguard_names, NAMES_NONE);
	ck_assert_ptr_null(config->wireguard_names_file);
	config_free(config);
}
END_TEST

START_TEST(defaults)
{
	struct config *config = parse_config("[tun]\ninterface = wg0\n");

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
	ck_assert_uint_eq(config->metrics_peers, 100);
	ck_assert_str_eq(config->node_id, host_name());
	ck_assert_str_eq(config->log_id_file, "/var/lib/netlogd/upload/node.logid");
	ck_assert_ptr_null(config->domain_log_id_file);
	ck_assert_ptr_null(config->nodes_file);
	ck_assert_int_eq(config->wireguard_names, NAMES_AUTO);
	ck_assert_ptr_null(config->wireguard_names_file);
	ck_assert_int_eq(config->tun.source, SOURCE_AUTO);
	ck_assert_str_eq(config->tun.interface, "wg0");
	ck_assert_uint_eq(config->max_flows, 65536);
	ck_assert_int_eq(config->sock.source, SOURCE_AUTO);
	ck_assert_str_eq(config->sock.interface, "wg0");
	ck_assert_int_eq(config->underlay, UNDERLAY_AUTO);
	ck_assert_int_eq(config->routes_mode, ROUTES_MODE_AUTO);
	assert_prefixes(&config->tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	assert_prefixes(&config->tailnet_exclude, "100.115.92.0/23");
	assert_prefixes(&config->routes.local_addrs, "");
	assert_prefixes(&config->routes.routes, "");
	assert_prefixes(&config->routes.subnet_routes, "");
	ck_assert(!config->subnet_route_connected);
	ck_assert_int_eq(config->period, 5 * NSEC_PER_SEC);
	ck_assert_int_eq(config->exit_traffic, EXIT_TRAFFIC_AGGREGATE);
	assert_prefixes(&config->ignore_addrs, "100.100.100.100/32 fd7a:115c:a1e0::53/128");
	ck_assert_uint_eq(config->max_message_size, 262144);
	ck_assert_int_eq(config->heartbeat, 900 * NSEC_PER_SEC);
	ck_assert(config->peer_events);
	ck_assert(config->details);
	ck_assert(config->drops);
	ck_assert(!config->fold_ports);
	ck_assert_str_eq(config->spool_directory, "/var/lib/netlogd/spool");
	ck_assert_uint_eq(config->spool_max_size, 512 << 20);
	ck_assert_int_eq(config->spool_sync, SPOOL_SYNC_INTERVAL);
	ck_assert_int_eq(config->spool_sync_interval, NSEC_PER_SEC);
	ck_assert_int_eq(config->spool_retain, 7 * 86400 * NSEC_PER_SEC);
	ck_assert_uint_eq(config->n_sinks, 0);
	config_free(config);
}
END_TEST

START_TEST(sinks)
{
	struct config *config = parse_config("[tun]\nsource=none\n"
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

static const struct error_case errors[] = {
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
	/* a message that the spool could never hold */
	{TUN "[record]\nmax-message-size=2M\n[spool]\nmax-size=2M\n", 4,
	 "max-message-size = 2048K does not fit into the spool: with [spool] max-size = 2048K expected at most "
	 "1980K"},
	{TUN "[record]\nmax-message-size=1M\n[spool]\nmax-size=1M\n", 4,
	 "max-message-size = 1024K does not fit into the spool: with [spool] max-size = 1024K expected at most "
	 "988K"},
	{"[upload]\n", 1,
	 "[upload ]: expected a name of 1 to 64 letters, digits, '_', '.' and '-', not beginning with '.', and "
	 "not \"ids\" or \"node.logid\""},
	/* paths */
	{TUN "[netlogd]\ncontrol-socket=/a/upload.sock\n", 4,
	 "control-socket: expected a file name other than upload.sock, which is the uploader's"},
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
	/* One socket can't be both devices. */
	{"[tun]\nsource=stats\nstats-socket=/run/v\n[sock]\nsource=stats\nstats-socket=/run/v\n", 6,
	 "stats-socket = /run/v: expected another socket than that of [tun]: each device has counts of its own"},
	/* habits of other formats */
	{"[tun]\ninterface = \"tnl0\"\n", 2,
	 "interface = \"tnl0\": write it without quotation marks: interface = tnl0"},
	{"[node]\nid='n1'\n", 2, "id = 'n1': write it without quotation marks: id = n1"},
	{TUN "[netlogd]\noperators=alice, \"bob\"\n", 4,
	 "operators = alice, \"bob\": write it without quotation marks: operators = alice, bob"},
	{LOGTAIL "url=\"https://a\"\n", 6, "url: write the value without quotation marks"},
	{"[node]\nid = n1 # the first\n", 2,
	 "id = n1 # the first: a comment behind a value begins with ';': write id = n1 ; the first"},
	{"[tun]\ninterface = wg0\t#x\n", 2,
	 "interface = wg0\t#x: a comment behind a value begins with ';': write interface = wg0 ; x"},
	{"[node]\nid = # none\n", 2,
	 "id = # none: a comment behind a value begins with ';': write id =  ; none"},
	{LOGTAIL "url=https://a # b\n", 6, "url: a comment behind a value begins with ';' instead of '#'"},
	{LOGTAIL "url=https://a\nheader=X-A: b # c\n", 7,
	 "header: a comment behind a value begins with ';' instead of '#'"},
	/* sinks */
	{TUN "[upload a]\nurl=https://a\n", 3, "[upload a] needs type: expected logtail, clickhouse or file"},
	{TUN "[upload a]\ntype=otlp\n", 4,
	 "type = otlp: not yet supported (expected logtail, clickhouse or file)"},
	{TUN "[upload a]\ntype=file\npath=/dev/stdout\n", 5,
	 "path = /dev/stdout: not a regular file: expected a file for lines, which is made if it is missing"},
	{TUN "[upload a]\ntype=file\npath=/dev/null\n", 5,
	 "path = /dev/null: not a regular file: expected a file for lines, which is made if it is missing"},
	{TUN "[upload a]\ntype=file\npath=/var/none/\n", 5,
	 "path = /var/none/: a directory: expected a file for lines, which is made if it is missing"},
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
};

START_TEST(refused)
{
	assert_error(errors[_i].text, strlen(errors[_i].text), errors[_i].line, errors[_i].reason);
}
END_TEST

/* A device that is not configured has the source none. */
START_TEST(no_devices)
{
	struct config *config = parse_config("");

	ck_assert_int_eq(config->tun.source, SOURCE_NONE);
	ck_assert_int_eq(config->sock.source, SOURCE_NONE);
	config_free(config);
	config = parse_config("[sock]\nsource=stats\nstats-socket=/s\n");
	ck_assert_int_eq(config->tun.source, SOURCE_NONE);
	ck_assert_int_eq(config->sock.source, SOURCE_STATS);
	config_free(config);
}
END_TEST

START_TEST(given_devices)
{
	static const struct {
		const char *section;
		struct device_config device;
		const char *reason; /* NULL: valid */
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
		 "source packet: expected auto, wireguard, tailscale, stats or none"},
		{"sock", {SOURCE_TAILSCALE, (char *)"wg0", NULL}, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *reason = NULL;
		int r = device_config_check(cases[i].section, &cases[i].device, &reason);

		ck_assert_int_eq(r, cases[i].reason ? -EINVAL : 0);
		ck_assert_pstr_eq(reason, cases[i].reason);
	}
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

START_TEST(names_of_sinks)
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

START_TEST(files)
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

/* NULL: it cannot be told. */
static const struct {
	const char *text, *path;
	unsigned int error_line; /* 0: none */
} control_sockets[] = {
	{TUN, "/run/netlogd/control.sock", 0},
	{"[netlogd]\ncontrol-socket=/a/b.sock\n" TUN, "/a/b.sock", 0},
	{"[netlogd]\ncontrol-socket=/a/b.sock\n[tun]\nsource=foo\n", "/a/b.sock", 4},
	{"[tun]\ncontrol-socket=/no\n[netlogd]\nlevel=1\ncontrol-socket=/a/b.sock\n", "/a/b.sock", 2},
	{"[tun]\ninterfaces=wg0\n", "/run/netlogd/control.sock", 2},
	/* Wrong itself. */
	{"[netlogd]\ncontrol-socket=b.sock\n", NULL, 2},
	{"[netlogd]\ncontrol-socket=\n", NULL, 2},
	{"[netlogd]\ncontrol-socket=/a/b.sock # ours\n", NULL, 2},
	/* Lines that are nothing: what stands before counts. */
	{"[netlogd]\ncontrol-socket=/a/b.sock\ninterface wg0\n", "/a/b.sock", 3},
	{"[netlogd]\ncontrol-socket=/a/b.sock\n[tun\n", "/a/b.sock", 3},
	{"[netlogd\ncontrol-socket=/a/b.sock\n", NULL, 1},
	{TUN "what\n[netlogd]\ncontrol-socket=/a/b.sock\n", NULL, 3},
	{"what", NULL, 1},
};

START_TEST(control_socket)
{
	_cleanup_free_ char *file = path_in("netlogd.conf"), *path = NULL;
	const char *expected = control_sockets[_i].path;
	struct config_error error = {};
	int r;

	make_file(file, control_sockets[_i].text, 0600);
	r = config_load_control_socket(file, &path, &error);
	ck_assert_int_eq(r, expected ? 0 : -EINVAL);
	ck_assert_pstr_eq(path, expected);
	ck_assert_uint_eq(error.line, control_sockets[_i].error_line);
	ck_assert_int_eq(error.reason != NULL, control_sockets[_i].error_line > 0);
	config_error_deinit(&error);
}
END_TEST

START_TEST(checked_group)
{
	static const char *const lines[] = {"control-group=no-such-group", "control-group=root",
					    "control-group=", "log-level=info"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct config_error error = {};
		struct config *config;
		char text[128];
		int n = snprintf(text, sizeof(text), TUN "[netlogd]\n%s\n", lines[i]);

		ck_assert_int_eq(config_parse("f", text, (size_t)n, &config, &error), 0);
		ck_assert_int_eq(config_check_files(config, &error), i == 0 ? -EINVAL : 0);
		if (i == 0)
			ck_assert_str_eq(error.reason,
					 "[netlogd] control-group = no-such-group: there is no such group");
		config_error_deinit(&error);
		config_free(config);
	}
}
END_TEST

/* What is there must be a file; what is not will be. */
START_TEST(checked_files)
{
	static const char *const paths[] = {"/tmp", "/etc/passwd", "/nonexistent/a"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct config_error error = {};
		struct config *config;
		char text[128];
		int n = snprintf(text, sizeof(text), TUN "[upload a]\ntype=file\npath=%s\n", paths[i]);

		ck_assert_int_eq(config_parse("f", text, (size_t)n, &config, &error), 0);
		ck_assert_int_eq(config_check_files(config, &error), i == 0 ? -EINVAL : 0);
		if (i == 0) {
			ck_assert_str_eq(error.file, "f");
			ck_assert_uint_eq(error.line, 3);
			ck_assert_str_eq(error.reason, "[upload a] path = /tmp: a directory: expected a file "
						       "for lines, which is made if it is missing");
		}
		config_error_deinit(&error);
		config_free(config);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load");
	TCase *test_case = tcase_create("load");

	add_directory(test_case);
	tcase_add_test(test_case, defaults);
	tcase_add_test(test_case, node_id_is_the_host_name);
	tcase_add_test(test_case, wireguard_names);
	tcase_add_test(test_case, sinks);
	tcase_add_loop_test(test_case, refused, 0, ARRAY_SIZE(errors));
	tcase_add_test(test_case, no_devices);
	tcase_add_test(test_case, given_devices);
	tcase_add_loop_test(test_case, names_of_sinks, 0, ARRAY_SIZE(sink_names));
	tcase_add_loop_test(test_case, control_socket, 0, (int)ARRAY_SIZE(control_sockets));
	tcase_add_test(test_case, files);
	tcase_add_test(test_case, checked_files);
	tcase_add_test(test_case, checked_group);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
