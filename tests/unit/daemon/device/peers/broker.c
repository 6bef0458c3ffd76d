/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker: valid requests, what passes the filter, and answers when the tunnel cannot be asked. */

#include "daemon/device/peers/broker.h"
#include "common/time_text.h"
#include "daemon/device/peers/socket.h"
#include "tests/unit/daemon/device/peers/support.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "private_key=" SECRET "\n"
			     "listen_port=51820\n"
			     "fwmark=51820\n"
			     "public_key=" KEY_A "\n"
			     "preshared_key=" SECRET "\n"
			     "protocol_version=1\n"
			     "endpoint=192.0.2.7:4500\n"
			     "last_handshake_time_sec=1700000000\n"
			     "last_handshake_time_nsec=123\n"
			     "tx_bytes=10\n"
			     "rx_bytes=20\n"
			     "a_key_of_a_later_version=" SECRET "\n"
			     "allowed_ip=10.0.0.0/8\n"
			     "errno=0\n"
			     "\n";
static const char passes[] = "listen_port=51820\n"
			     "fwmark=51820\n"
			     "public_key=" KEY_A "\n"
			     "endpoint=192.0.2.7:4500\n"
			     "last_handshake_time_sec=1700000000\n"
			     "last_handshake_time_nsec=123\n"
			     "tx_bytes=10\n"
			     "rx_bytes=20\n"
			     "allowed_ip=10.0.0.0/8\n"
			     "errno=0\n"
			     "\n";

START_TEST(filter_in_any_pieces)
{
	static const size_t steps[] = {1, 2, 7, 64, sizeof(answer)};
	size_t n = strlen(answer);

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_buffer_ struct buffer out = {};
		struct wg_broker_filter filter = {};

		for (size_t done = 0; done < n; done += steps[i])
			ck_assert_int_eq(
				wg_broker_filter_feed(&filter, answer + done, MIN(steps[i], n - done), &out),
				0);
		ck_assert(filter.done);
		ck_assert_uint_eq(out.length, strlen(passes));
		ck_assert_mem_eq(out.data, passes, out.length);
		/* No part of a line is left. */
		ck_assert_ptr_null(memmem(&filter, sizeof(filter), "deadbeef", 8));
	}
}
END_TEST

START_TEST(filter_refuses_invalid_answers)
{
	static const char *const wrong[] = {"no equals sign\n", "errno=0\n\nmore"};
	char line[UAPI_LINE_MAX + 8];

	memset(line, 'a', sizeof(line));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_buffer_ struct buffer out = {};
		struct wg_broker_filter filter = {};

		ck_assert_int_eq(wg_broker_filter_feed(&filter, wrong[i], strlen(wrong[i]), &out), -EBADMSG);
	}
	ck_assert_int_eq(
		wg_broker_filter_feed(&(struct wg_broker_filter){}, line, sizeof(line), &(struct buffer){}),
		-EBADMSG);
	ck_assert_int_eq(wg_broker_filter_feed(&(struct wg_broker_filter){}, "a\0b", 3, &(struct buffer){}),
			 -EBADMSG);
}
END_TEST

START_TEST(requests)
{
	static const char *const wrong[] = {
		"",
		"get=1\n\n",
		"interface=wg0\nset=1\n\n",
		"interface=wg0\nget=1\n",
		"interface=wg0\nget=1\n\nmore",
		"interface=wg0\nget=1\nprivate_key=" KEY_A "\n\n",
		"interface=\nget=1\n\n",
		"interface=.\nget=1\n\n",
		"interface=..\nget=1\n\n",
		"interface=a/b\nget=1\n\n",
		"interface=../../etc/x\nget=1\n\n",
		"interface=a-name-of-16-byt\nget=1\n\n",
		"interface=wg0\nhere=0\nget=1\n\n",
		"interface=wg0\nhere=1\nhere=1\nget=1\n\n",
		"interface=wg0\nget=1\nhere=1\n\n",
	};
	char text[WG_BROKER_REQUEST_MAX], interface[IFNAMSIZ] = "as it was";

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(wg_broker_parse_request(wrong[i], interface) == -EBADMSG, "%s", wrong[i]);
	ck_assert_str_eq(interface, "as it was");
	wg_broker_request("a-name-of-15-by", text);
	ck_assert_str_eq(text, "interface=a-name-of-15-by\nget=1\n\n");
	ck_assert_int_eq(wg_broker_parse_request(text, interface), 0);
	ck_assert_str_eq(interface, "a-name-of-15-by");
	ck_assert(!wg_broker_is_here(text));
	wg_broker_request_here("another-name-15", text);
	ck_assert_str_eq(text, "interface=another-name-15\nhere=1\nget=1\n\n");
	ck_assert_int_eq(wg_broker_parse_request(text, interface), 0);
	ck_assert_str_eq(interface, "another-name-15");
	ck_assert(wg_broker_is_here(text));
}
END_TEST

/* --- with a tunnel's socket and a client --- */

struct broker {
	int fd;
	struct wg_broker_folders folders;
	int result;
	pthread_t thread;
};

static void *serve(void *userdata)
{
	struct broker *broker = userdata;

	broker->result = wg_broker_serve(broker->fd, &broker->folders);
	close(broker->fd);
	return NULL;
}

static int broker_start(struct broker *broker, const char *folder)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*broker = (struct broker){.fd = fds[0], .folders = {.sockets = folder, .names = folder}};
	ck_assert_int_eq(pthread_create(&broker->thread, NULL, serve, broker), 0);
	return fds[1];
}

static int broker_stop(struct broker *broker, int client)
{
	close(client);
	pthread_join(broker->thread, NULL);
	return broker->result;
}

/* The answer to a request: up to the empty line, or to the end. */
static const char *ask(int client, const char *request)
{
	static char text[4096];
	size_t n = 0;

	ck_assert_int_eq(wg_socket_send(client, request, strlen(request), INT64_MAX), 0);
	while (n < 2 || strcmp(text + n - 2, "\n\n") != 0) {
		ssize_t received = wg_socket_receive(client, text + n, sizeof(text) - 1 - n,
						     time_now_boot() + 20 * NSEC_PER_SEC);

		ck_assert_int_ge(received, 0);
		n += (size_t)received;
		text[n] = '\0';
		if (received == 0)
			break;
	}
	return text;
}

START_TEST(serves_one_request_after_the_other)
{
	struct tunnel tunnel = {};
	struct broker broker;
	int client;

	tunnel_start(&tunnel, answer);
	client = broker_start(&broker, tunnel.folder);
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(ask(client, "interface=wg0\nget=1\n\n"), passes);
		ck_assert_str_eq(ask(client, "interface=wg1\nget=1\n\n"), "errno=19\n\n");
	}
	ck_assert_int_eq(broker_stop(&broker, client), 0);
	tunnel_stop(&tunnel);
}
END_TEST

START_TEST(invalid_answers)
{
	static const struct {
		const char *reply, *told;
		int result;
	} cases[] = {
		{"", "errno=74\n\n", 0},			  /* it closes at once */
		{"garbage\n", "errno=74\n\n", 0},		  /* no line has passed yet */
		{NULL, "errno=110\n\n", 0},			  /* it never answers */
		{"errno=5\n\n", "errno=5\n\n", 0},		  /* its own */
		{"listen_port=1\n", "listen_port=1\n", -EBADMSG}, /* it breaks off */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tunnel tunnel = {};
		struct broker broker;
		int client;

		tunnel_start(&tunnel, cases[i].reply);
		client = broker_start(&broker, tunnel.folder);
		ck_assert_str_eq(ask(client, "interface=wg0\nget=1\n\n"), cases[i].told);
		ck_assert_int_eq(broker_stop(&broker, client), cases[i].result);
		tunnel_stop(&tunnel);
	}
}
END_TEST

START_TEST(invalid_requests)
{
	/* Longer than any request can be, without an end. */
	static char long_line[WG_BROKER_REQUEST_MAX + 1];
	static const char *const wrong[] = {
		"get=1\n\n",
		"set=1\n\n",
		"interface=wg0\nget=1\n\ninterface=wg0\nget=1\n\n",
		long_line,
	};

	memset(long_line, 'a', sizeof(long_line) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct broker broker;
		int client = broker_start(&broker, "/nonexistent");

		ck_assert_int_eq(wg_socket_send(client, wrong[i], strlen(wrong[i]), INT64_MAX), 0);
		pthread_join(broker.thread, NULL);
		ck_assert_int_eq(broker.result, -EBADMSG);
		close(client);
	}
}
END_TEST

START_TEST(client_that_stops_in_the_middle)
{
	struct broker broker;
	int client = broker_start(&broker, "/nonexistent");

	ck_assert_int_eq(wg_socket_send(client, "interf", 6, INT64_MAX), 0);
	pthread_join(broker.thread, NULL);
	ck_assert_int_eq(broker.result, -ETIMEDOUT);
	close(client);
	client = broker_start(&broker, "/nonexistent");
	ck_assert_int_eq(wg_socket_send(client, "interf", 6, INT64_MAX), 0);
	ck_assert_int_eq(broker_stop(&broker, client), -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wg_broker");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, filter_in_any_pieces);
	tcase_add_test(tcase, filter_refuses_invalid_answers);
	tcase_add_test(tcase, requests);
	tcase_add_test(tcase, serves_one_request_after_the_other);
	tcase_add_test(tcase, invalid_answers);
	tcase_add_test(tcase, invalid_requests);
	tcase_add_test(tcase, client_that_stops_in_the_middle);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
