/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a WireGuard interface's peers: both formats, whole, in pieces, and wrong. */

#include "daemon/device/wireguard/peers.h"
#include "tests/unit/daemon/device/support/netlink_build.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEY_A  "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_B  "0202020202020202020202020202020202020202020202020202020202020202"
#define SECRET "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef"

static const char answer[] = "private_key=" SECRET "\n"
			     "listen_port=51820\n"
			     "fwmark=51820\n"
			     "public_key=" KEY_B "\n"
			     "preshared_key=" SECRET "\n"
			     "protocol_version=1\n"
			     "endpoint=192.0.2.7:4500\n"
			     "last_handshake_time_sec=1700000000\n"
			     "last_handshake_time_nsec=123\n"
			     "tx_bytes=10\n"
			     "rx_bytes=18446744073709551615\n"
			     "persistent_keepalive_interval=25\n"
			     "allowed_ip=10.0.0.0/8\n"
			     "allowed_ip=100.64.0.9/32\n"
			     "allowed_ip=100.64.0.8/32\n"
			     "allowed_ip=fd7a::1/128\n"
			     "public_key=" KEY_A "\n"
			     "endpoint=[fe80::1%eth0]:51821\n"
			     "from_a_later_version=x\n"
			     "allowed_ip=10.1.2.3/16\n"
			     "allowed_ip=fd00::/64\n"
			     "errno=0\n"
			     "\n";

static int feed(const char *data, size_t step, struct wg_text *text, struct wg_peers *peers)
{
	size_t n = strlen(data);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i += step)
		r = wg_text_feed(text, data + i, MIN(step, n - i), peers);
	return r;
}

static int read_text(const char *data, struct wg_peers *peers)
{
	struct wg_text text = {};
	int r = feed(data, strlen(data), &text, peers);

	wg_text_deinit(&text);
	return r;
}

static void check_answer(const struct wg_peers *peers)
{
	char endpoint[ENDPOINT_TEXT_MAX], address[ADDRESS_TEXT_MAX];
	struct address tailnet;

	ck_assert_uint_eq(peers->n, 2);
	ck_assert_uint_eq(peers->listen_port, 51820);
	ck_assert_uint_eq(peers->fwmark, 51820);
	/* Sorted by key, so A comes first. */
	endpoint_format(&peers->items[0].endpoint, endpoint);
	ck_assert_str_eq(endpoint, "[fe80::1]:51821");
	ck_assert_uint_eq(peers->items[0].tx_bytes, 0);
	tailnet = wg_peer_tailnet_address(&peers->items[0]);
	address_format(&tailnet, address);
	ck_assert_str_eq(address, "10.1.2.3");
	endpoint_format(&peers->items[1].endpoint, endpoint);
	ck_assert_str_eq(endpoint, "192.0.2.7:4500");
	ck_assert_uint_eq(peers->items[1].rx_bytes, UINT64_MAX);
	ck_assert_uint_eq(peers->items[1].tx_bytes, 10);
	ck_assert_int_eq(peers->items[1].last_handshake, 1700000000000000123);
	ck_assert_uint_eq(peers->items[1].allowed_ips.n, 4);
	tailnet = wg_peer_tailnet_address(&peers->items[1]);
	address_format(&tailnet, address);
	ck_assert_str_eq(address, "100.64.0.8");
}

START_TEST(text_in_any_pieces)
{
	static const size_t steps[] = {1, 2, 7, 64, sizeof(answer)};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		struct wg_text text = {};

		ck_assert_int_eq(feed(answer, steps[i], &text, &peers), 0);
		ck_assert(text.done);
		ck_assert_int_eq(text.error, 0);
		wg_peers_sort(&peers);
		check_answer(&peers);
	}
}
END_TEST

/* After every line the buffer holds nothing of it, and the peers hold nothing of a secret. */
START_TEST(text_keeps_no_secret)
{
	static const uint8_t secret[] = {0xde, 0xad, 0xbe, 0xef};
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct wg_text text = {};

	for (const char *c = answer; *c; c++) {
		ck_assert_int_eq(wg_text_feed(&text, c, 1, &peers), 0);
		if (*c == '\n')
			for (size_t i = 0; i < sizeof(text.line); i++)
				ck_assert_int_eq(text.line[i], 0);
	}
	ck_assert_ptr_null(memmem(&text, sizeof(text), "deadbeef", 8));
	ck_assert_ptr_null(memmem(peers.items, peers.n * sizeof(*peers.items), secret, sizeof(secret)));
	ck_assert_ptr_null(memmem(peers.items, peers.n * sizeof(*peers.items), "deadbeef", 8));
}
END_TEST

/* A program that may be anything is not believed as much as the kernel. */
START_TEST(text_is_bounded)
{
	static const char begin[] =
		"public_key=0000000000000000000000000000000000000000000000000000000000000001\n";
	static const char more[] = "allowed_ip=10.1.2.3/32\n";
	_cleanup_wg_peers_ struct wg_peers peers = {}, one = {};
	struct wg_text text = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i <= WG_TEXT_PEERS_MAX; i++)
		r = wg_text_feed(&text, begin, sizeof(begin) - 1, &peers);
	ck_assert_int_eq(r, -E2BIG);
	ck_assert_uint_eq(peers.n, WG_TEXT_PEERS_MAX);
	text = (struct wg_text){};
	r = wg_text_feed(&text, begin, sizeof(begin) - 1, &one);
	for (size_t i = 0; r == 0 && i <= WG_TEXT_ALLOWED_IPS_MAX; i++)
		r = wg_text_feed(&text, more, sizeof(more) - 1, &one);
	ck_assert_int_eq(r, -E2BIG);
	ck_assert_uint_eq(one.items[0].allowed_ips.n, WG_TEXT_ALLOWED_IPS_MAX);
}
END_TEST

START_TEST(text_that_is_wrong)
{
	static const char *const wrong[] = {
		"listen_port=65536\n",
		"listen_port=-1\n",
		"listen_port=\n",
		"no equals sign\n",
		"public_key=0101\n",
		"public_key=" KEY_A "01\n",
		"public_key=zz"
		"01010101010101010101010101010101010101010101010101010101010101\n",
		"public_key=" KEY_A "\nrx_bytes=18446744073709551616\n",
		"public_key=" KEY_A "\nendpoint=192.0.2.1\n",
		"public_key=" KEY_A "\nendpoint=[fe80::1%eth0:51820\n",
		"public_key=" KEY_A "\nallowed_ip=10.0.0.0/33\n",
		"public_key=" KEY_A "\nlast_handshake_time_sec=9223372036854775807\n",
		"errno=x\n",
		"errno=0\n\nmore",
	};
	char long_line[WG_TEXT_LINE_MAX + 8];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};

		ck_assert_msg(read_text(wrong[i], &peers) == -EBADMSG, "%s", wrong[i]);
	}
	memset(long_line, 'a', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	ck_assert_int_eq(read_text(long_line, &(struct wg_peers){}), -EBADMSG);
	ck_assert_int_eq(wg_text_feed(&(struct wg_text){}, "a\0b", 3, &(struct wg_peers){}), -EBADMSG);
}
END_TEST

START_TEST(text_with_an_error)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct wg_text text = {};

	ck_assert_int_eq(feed("errno=-22\n\n", 3, &text, &peers), 0);
	ck_assert(text.done);
	ck_assert_int_eq(text.error, 22);
}
END_TEST

/* --- netlink --- */

START_TEST(netlink_peer_in_two_messages)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct nlattr *list, *peer, *ips;
	struct built built;

	build_device(&built);
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	build_counters(&built, 100, 200, "192.0.2.9", 51821);
	ips = mnl_attr_nest_start(built.message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(&built, "10.0.0.0", 8);
	build_allowed_ip(&built, "fd7a::2", 128);
	mnl_attr_nest_end(built.message, ips);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), 0);

	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	ips = mnl_attr_nest_start(built.message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(&built, "100.64.0.5", 32);
	mnl_attr_nest_end(built.message, ips);
	mnl_attr_nest_end(built.message, peer);
	peer = build_peer(&built, 2);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), 0);

	ck_assert_uint_eq(peers.n, 2);
	ck_assert_uint_eq(peers.listen_port, 51820);
	ck_assert_uint_eq(peers.fwmark, 0xca6c);
	ck_assert_uint_eq(peers.items[0].rx_bytes, 100);
	ck_assert_uint_eq(peers.items[0].tx_bytes, 200);
	ck_assert_uint_eq(peers.items[0].endpoint.port, 51821);
	ck_assert_int_eq(peers.items[0].last_handshake, 1700000000000000005);
	ck_assert_uint_eq(peers.items[0].allowed_ips.n, 3);
	ck_assert_uint_eq(peers.n_allowed_ips, 3);
	ck_assert_uint_eq(peers.items[1].allowed_ips.n, 0);
	ck_assert_int_eq(peers.items[1].public_key[31], 2);
}
END_TEST

static void build_whole(struct built *built)
{
	struct nlattr *list, *peer, *ips;

	build_device(built);
	list = mnl_attr_nest_start(built->message, WGDEVICE_A_PEERS);
	peer = build_peer(built, 1);
	build_counters(built, 1, 2, "192.0.2.9", 1);
	ips = mnl_attr_nest_start(built->message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(built, "10.0.0.0", 8);
	mnl_attr_nest_end(built->message, ips);
	mnl_attr_nest_end(built->message, peer);
	mnl_attr_nest_end(built->message, list);
}

/* Cut at every byte, and with every byte changed: an answer or an error, never a byte from beyond (which the
 * sanitizer build would see, the copy being of exactly the message's size). */
START_TEST(netlink_cut_and_changed_anywhere)
{
	struct built built;
	size_t length, refused = 0;

	build_whole(&built);
	length = built.message->nlmsg_len;
	for (size_t i = sizeof(struct nlmsghdr); i <= length; i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		struct nlmsghdr *copy = malloc(i);

		memcpy(copy, built.data, i);
		copy->nlmsg_len = (uint32_t)i;
		refused += wg_netlink_read(copy, &peers) < 0;
		free(copy);
	}
	ck_assert_uint_gt(refused, length / 2);
	for (size_t i = sizeof(struct nlmsghdr); i < length; i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		char *copy = malloc(length);

		memcpy(copy, built.data, length);
		copy[i] = (char)~copy[i];
		wg_netlink_read((void *)copy, &peers);
		free(copy);
	}
}
END_TEST

START_TEST(netlink_values_of_the_wrong_size)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct nlattr *list, *peer;
	struct built built;

	build(&built, 30, sizeof(struct genlmsghdr));
	mnl_attr_put_u32(built.message, WGDEVICE_A_LISTEN_PORT, 51820);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);

	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	mnl_attr_put_u32(built.message, WGPEER_A_RX_BYTES, 1);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);

	/* A peer without a key is nobody's. */
	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = mnl_attr_nest_start(built.message, 0);
	mnl_attr_put_u64(built.message, WGPEER_A_RX_BYTES, 1);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);
}
END_TEST

/* --- rules --- */

static void check_tailnet(const char *const *allowed, const char *expected)
{
	struct wg_peers peers = {};
	struct wg_peer peer = {};
	struct address address;
	struct prefix prefix;
	char text[ADDRESS_TEXT_MAX];

	for (; *allowed; allowed++) {
		ck_assert_int_eq(prefix_parse(*allowed, &prefix), 0);
		ck_assert_int_eq(wg_peers_add_allowed_ip(&peers, &peer, &prefix), 0);
	}
	address = wg_peer_tailnet_address(&peer);
	address_format(&address, text);
	ck_assert_str_eq(text, expected);
	prefix_list_deinit(&peer.allowed_ips);
}

START_TEST(tailnet_address)
{
	check_tailnet((const char *const[]){NULL}, "");
	check_tailnet((const char *const[]){"fd7a::9/128", "10.0.0.0/8", "fd7a::8/128", NULL}, "fd7a::8");
	check_tailnet((const char *const[]){"fd7a::9/128", "100.64.0.3/32", "100.64.0.2/32", NULL},
		      "100.64.0.2");
	check_tailnet((const char *const[]){"fd00::/8", "192.168.0.0/16", "10.0.0.0/8", NULL}, "10.0.0.0");
}
END_TEST

START_TEST(sorted_and_found)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	uint8_t key[WG_PEERS_KEY_SIZE];
	int r = 0;

	for (unsigned int i = 0; i < 300; i++) {
		struct wg_peer *peer = wg_peers_add(&peers, &r);

		ck_assert_ptr_nonnull(peer);
		memset(peer->public_key, (int)(i * 7 % 100), sizeof(key));
	}
	wg_peers_sort(&peers);
	ck_assert_uint_eq(peers.n, 100);
	for (int i = 0; i < 100; i++) {
		memset(key, i, sizeof(key));
		ck_assert_ptr_eq(wg_peers_find(&peers, key), &peers.items[i]);
	}
	memset(key, 200, sizeof(key));
	ck_assert_ptr_null(wg_peers_find(&peers, key));
}
END_TEST

/* --- the socket --- */

struct server {
	char folder[32];
	char path[64];
	int listen_fd;
	const char *reply; /* NULL: never any */
	bool trickle;
	pthread_t thread;
};

static void *serve(void *userdata)
{
	struct server *server = userdata;
	int fd;

	while ((fd = accept(server->listen_fd, NULL, NULL)) >= 0) {
		char request[64];
		ssize_t n = recv(fd, request, sizeof(request) - 1, 0);

		if (n > 0 && server->reply && strncmp(request, "get=1\n\n", 7) == 0)
			send(fd, server->reply, strlen(server->reply), MSG_NOSIGNAL);
		while (server->trickle && send(fd, "x=y\n", 4, MSG_NOSIGNAL) > 0)
			;
		/* Until the reader gives up. */
		if (!server->reply)
			while (recv(fd, request, sizeof(request), 0) > 0)
				;
		close(fd);
	}
	return NULL;
}

static void server_start(struct server *server, const char *reply)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(server->folder, "/tmp/nlwgXXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(server->folder));
	snprintf(server->path, sizeof(server->path), "%s/wg0.sock", server->folder);
	memcpy(address.sun_path, server->path, strlen(server->path) + 1);
	server->reply = reply;
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(server->listen_fd, 4), 0);
	ck_assert_int_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
	shutdown(server->listen_fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listen_fd);
	unlink(server->path);
	rmdir(server->folder);
}

static int read_from(const char *reply, bool trickle, struct wg_reader **ret_reader)
{
	struct server server = {.trickle = trickle};
	int r;

	server_start(&server, reply);
	r = wg_reader_new_userspace(server.folder, NULL, "wg0", ret_reader);
	server_stop(&server);
	return r;
}

START_TEST(socket_that_answers)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct server server = {};

	server_start(&server, answer);
	ck_assert_int_eq(wg_reader_new_userspace(server.folder, NULL, "wg0", &reader), 0);
	ck_assert_str_eq(wg_reader_source(reader), server.path);
	ck_assert_int_eq(wg_reader_read(reader, &peers), 0);
	check_answer(&peers);
	server_stop(&server);
	ck_assert_int_eq(wg_reader_read(reader, &peers), -ENODEV);
	check_answer(&peers);
}
END_TEST

START_TEST(socket_that_does_not)
{
	struct wg_reader *reader = NULL;

	ck_assert_int_eq(read_from("", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("garbage\n", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("listen_port=1\n", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("errno=1\n\n", false, &reader), -EIO);
	ck_assert_int_eq(read_from(NULL, false, &reader), -ETIMEDOUT);
	ck_assert_int_eq(read_from("x=y\n", true, &reader), -ETIMEDOUT);
	ck_assert_int_eq(wg_reader_new_userspace("/nonexistent", NULL, "wg0", &reader), -ENODEV);
	ck_assert_int_eq(wg_reader_new_userspace("/tmp", NULL, "../wg0", &reader), -EINVAL);
	ck_assert_int_eq(wg_reader_new_userspace("/tmp", NULL, "a-name-of-16-bytes", &reader), -EINVAL);
	ck_assert_ptr_null(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wg_peers");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, text_in_any_pieces);
	tcase_add_test(tcase, text_keeps_no_secret);
	tcase_add_test(tcase, text_is_bounded);
	tcase_add_test(tcase, text_that_is_wrong);
	tcase_add_test(tcase, text_with_an_error);
	tcase_add_test(tcase, netlink_peer_in_two_messages);
	tcase_add_test(tcase, netlink_cut_and_changed_anywhere);
	tcase_add_test(tcase, netlink_values_of_the_wrong_size);
	tcase_add_test(tcase, tailnet_address);
	tcase_add_test(tcase, sorted_and_found);
	tcase_add_test(tcase, socket_that_answers);
	tcase_add_test(tcase, socket_that_does_not);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
