/* SPDX-License-Identifier: BSD-3-Clause */
/* Every type of value: what is read from it, and the text of each error. */

#include "common/config/values.h"

#include "common/config/keys.h"
#include "common/time_text.h"
#include "tests/unit/common/config/support.h"

#include <errno.h>
#include <string.h>

START_TEST(values)
{
	struct config *config = parse_config("\xef\xbb\xbf# comment\r\n"
					     "[netlogd]\r\n"
					     "state-directory = /s ; comment\r\n"
					     "control-group = ops\r\n"
					     "operators = alice, bob\r\n"
					     "log-level=debug\r\n"
					     "autostart=no\r\n"
					     "metrics-listen=[::1]:9586\r\n"
					     "[node]\n"
					     "id = a node #7\n"
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
	ck_assert_str_eq(config->node_id, "a node #7");
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

START_TEST(more_values)
{
	struct config *config = parse_config("[tun]\ninterface=wg0\n"
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
					     "drops=no\n"
					     "fold-ports=yes\n"
					     "max-message-size=4K\n"
					     "[spool]\n"
					     "max-size=1M\n"
					     "sync=always\n"
					     "retain=7d");

	ck_assert_int_eq(config->routes_mode, ROUTES_MODE_STATIC);
	assert_prefixes(&config->tailnet, "");
	assert_prefixes(&config->routes.local_addrs, "100.64.0.1/32");
	assert_prefixes(&config->routes.routes, "10.0.0.0/8 192.168.0.0/16 fd00::/8");
	assert_prefixes(&config->routes.subnet_routes, "10.1.0.0/16");
	ck_assert(config->subnet_route_connected);
	ck_assert_int_eq(config->period, 100 * NSEC_PER_MSEC);
	ck_assert_int_eq(config->exit_traffic, EXIT_TRAFFIC_FULL);
	assert_prefixes(&config->ignore_addrs, "");
	ck_assert_int_eq(config->heartbeat, 0);
	ck_assert(!config->peer_events);
	ck_assert(config->details);
	ck_assert(!config->drops);
	ck_assert(config->fold_ports);
	ck_assert_uint_eq(config->max_message_size, 4096);
	ck_assert_uint_eq(config->spool_max_size, 1 << 20);
	ck_assert_int_eq(config->spool_sync, SPOOL_SYNC_ALWAYS);
	ck_assert_int_eq(config->spool_retain, 7 * (86400 * NSEC_PER_SEC));
	config_free(config);
}
END_TEST

/* Set but empty: no value, whatever the default. */
START_TEST(empty_values)
{
	struct config *config = parse_config("[netlogd]\ncontrol-group=\nmetrics-listen = \n"
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

static const struct error_case errors[] = {
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
	{TUN "[record]\ndetails=\n", 4, "details has no value: expected yes or no"},
	{TUN "[record]\ndrops=some\n", 4, "drops = some: expected yes or no"},
	{TUN "[record]\nfold-ports=2\n", 4, "fold-ports = 2: expected yes or no"},
	{TUN "[record]\nfold-ports=yes\ndetails=no\n", 4,
	 "fold-ports = yes: expected details = yes too: only they tell which end opened a connection"},
	{TUN "[spool]\nmax-size=1023K\n", 4, "max-size = 1023K: expected a size from 1M to 65536G"},
	{TUN "[spool]\nsync=never\n", 4, "sync = never: expected interval or always"},
	{TUN "[spool]\ndirectory=spool\n", 4, "directory = spool: expected an absolute path"},
	{TUN "[spool]\nsync-interval=0\n", 4, "sync-interval = 0: expected a duration from 1ms to 1h"},
	{TUN "[netlogd]\nmetrics-peers=1001\n", 4, "metrics-peers = 1001: expected a number from 0 to 1000"},
	{TUN "[netlogd]\nmetrics-peers=-1\n", 4, "metrics-peers = -1: expected a number from 0 to 1000"},
	{TUN "max-flows=0\n", 3, "max-flows = 0: expected a number from 1 to 16777216"},
	{TUN "max-flows=4294967296\n", 3, "max-flows = 4294967296: expected a number from 1 to 16777216"},
	{TUN "source=wireguard\n", 3, "source = wireguard: expected auto, ebpf, packet, stats or none"},
	{TUN "source=tailscale\n", 3, "source = tailscale: expected auto, ebpf, packet, stats or none"},
	{TUN "[sock]\nsource=tailscaled\n", 4,
	 "source = tailscaled: expected auto, wireguard, tailscale, stats or none"},
	{TUN "[node]\ntailscale-socket=tailscaled.sock\n", 4,
	 "tailscale-socket = tailscaled.sock: expected an absolute path of at most 107 bytes"},
	{TUN "[sock]\nsource=tailscale\n[node]\ntailscale-socket=\n", 6,
	 "[sock] source = tailscale needs [node] tailscale-socket"},
	{TUN "[sock]\nsource=ebpf\n", 4, "source = ebpf: expected auto, wireguard, tailscale, stats or none"},
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
	{TUN "[netlogd]\ncontrol-socket=/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\n", 4,
	 "control-socket = /" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
	 ": expected an absolute path of at most 107 bytes"},
	/* never repeats what may be secret */
	{LOGTAIL "url=https://a\nheader=Authorization secret\n", 7,
	 "header: expected headers as \"Name: value\""},
	{LOGTAIL "url=https://user:secret@a\n", 6,
	 "url: expected https://HOST[:PORT][/PATH], without user, query and fragment"},
	{LOGTAIL "url=https://b\xc3\xbc"
		 "cher.example\n",
	 6, "url: the host's name is not in ASCII: expected its xn-- form (RFC 5891)"},
	{LOGTAIL "url=https://[fe80::1%25eth0]:8443\n", 6,
	 "url: an address with a zone (%) cannot be used: expected a name, or an address that is valid on every "
	 "link"},
	{LOGTAIL "url=http://a\n", 6, "url: http:// is only for loopback addresses: expected https://"},
};

START_TEST(refused)
{
	assert_error(errors[_i].text, strlen(errors[_i].text), errors[_i].line, errors[_i].reason);
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
	{"https://b\xc3\xbc"
	 "cher.example",
	 -EILSEQ},
	{"http://\xe2\x80\x8elocalhost:80/", -EILSEQ},
	{"https://xn--bcher-kva.example", 0},
	{"https://[fe80::1%25eth0]", -EPFNOSUPPORT},
	{"http://[fe80::1%eth0]:80/", -EPFNOSUPPORT},
	{"https://a%25b", -EINVAL},
};

START_TEST(url)
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

START_TEST(interfaces_and_socket_paths)
{
	ck_assert(config_is_interface("wg0") && !config_is_interface("") && !config_is_interface("a/b"));
	ck_assert(config_is_socket_path("/s") && !config_is_socket_path("s") && !config_is_socket_path(""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("values");
	TCase *test_case = tcase_create("values");

	tcase_add_test(test_case, values);
	tcase_add_test(test_case, more_values);
	tcase_add_test(test_case, empty_values);
	tcase_add_loop_test(test_case, refused, 0, ARRAY_SIZE(errors));
	tcase_add_loop_test(test_case, url, 0, ARRAY_SIZE(urls));
	tcase_add_test(test_case, interfaces_and_socket_paths);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
