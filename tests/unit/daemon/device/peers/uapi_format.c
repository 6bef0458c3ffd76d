/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of userspace implementations: whole, in pieces, and wrong. */

#include "daemon/device/peers/uapi_format.h"
#include "tests/unit/daemon/device/peers/support.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int feed(const char *data, size_t step, struct uapi_answer *answer, struct wg_peers *peers)
{
	size_t n = strlen(data);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i += step)
		r = uapi_answer_feed(answer, data + i, MIN(step, n - i), peers);
	return r;
}

static int read_text(const char *data, struct wg_peers *peers)
{
	struct uapi_answer answer = {};
	int r = feed(data, strlen(data), &answer, peers);

	uapi_answer_deinit(&answer);
	return r;
}

START_TEST(in_any_pieces)
{
	static const size_t steps[] = {1, 2, 7, 64, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		struct uapi_answer answer = {};

		ck_assert_int_eq(feed(uapi_text, steps[i], &answer, &peers), 0);
		ck_assert(answer.done);
		ck_assert_int_eq(answer.error, 0);
		wg_peers_sort(&peers);
		check_uapi_peers(&peers);
	}
}
END_TEST

/* After every line the buffer holds nothing of it, and the peers hold nothing of a secret. */
START_TEST(keeps_no_secret)
{
	static const uint8_t secret[] = {0xde, 0xad, 0xbe, 0xef};
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct uapi_answer answer = {};

	for (const char *c = uapi_text; *c; c++) {
		ck_assert_int_eq(uapi_answer_feed(&answer, c, 1, &peers), 0);
		if (*c == '\n')
			for (size_t i = 0; i < sizeof(answer.line); i++)
				ck_assert_int_eq(answer.line[i], 0);
	}
	ck_assert_ptr_null(memmem(&answer, sizeof(answer), "deadbeef", 8));
	ck_assert_ptr_null(memmem(peers.items, peers.n * sizeof(*peers.items), secret, sizeof(secret)));
	ck_assert_ptr_null(memmem(peers.items, peers.n * sizeof(*peers.items), "deadbeef", 8));
}
END_TEST

/* Any program may own the socket: it is trusted with less than the kernel. */
START_TEST(is_bounded)
{
	static const char begin[] =
		"public_key=0000000000000000000000000000000000000000000000000000000000000001\n";
	static const char more[] = "allowed_ip=10.1.2.3/32\n";
	_cleanup_wg_peers_ struct wg_peers peers = {}, one = {};
	struct uapi_answer answer = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i <= UAPI_PEERS_MAX; i++)
		r = uapi_answer_feed(&answer, begin, sizeof(begin) - 1, &peers);
	ck_assert_int_eq(r, -E2BIG);
	ck_assert_uint_eq(peers.n, UAPI_PEERS_MAX);
	answer = (struct uapi_answer){};
	r = uapi_answer_feed(&answer, begin, sizeof(begin) - 1, &one);
	for (size_t i = 0; r == 0 && i <= UAPI_ALLOWED_IPS_MAX; i++)
		r = uapi_answer_feed(&answer, more, sizeof(more) - 1, &one);
	ck_assert_int_eq(r, -E2BIG);
	ck_assert_uint_eq(one.items[0].allowed_ips.n, UAPI_ALLOWED_IPS_MAX);
}
END_TEST

START_TEST(invalid_text)
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
	char long_line[UAPI_LINE_MAX + 8];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};

		ck_assert_msg(read_text(wrong[i], &peers) == -EBADMSG, "%s", wrong[i]);
	}
	memset(long_line, 'a', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	ck_assert_int_eq(read_text(long_line, &(struct wg_peers){}), -EBADMSG);
	ck_assert_int_eq(uapi_answer_feed(&(struct uapi_answer){}, "a\0b", 3, &(struct wg_peers){}),
			 -EBADMSG);
}
END_TEST

START_TEST(an_errno)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct uapi_answer answer = {};

	ck_assert_int_eq(feed("errno=-22\n\n", 3, &answer, &peers), 0);
	ck_assert(answer.done);
	ck_assert_int_eq(answer.error, 22);
}
END_TEST

/* "endpoint link zone" as they are read. */
static const char *endpoint_of(const char *value)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	static char text[128];
	char line[256], endpoint[ENDPOINT_TEXT_MAX];

	snprintf(line, sizeof(line), "public_key=" KEY_A "\nendpoint=%s\n", value);
	if (read_text(line, &peers) < 0)
		return "refused";
	endpoint_format(&peers.items[0].endpoint, endpoint);
	snprintf(text, sizeof(text), "%s %u %s", endpoint, peers.items[0].link, peers.items[0].zone);
	return text;
}

START_TEST(endpoints)
{
	/* A socket for both families shows IPv4 peers like this; their datagrams are IPv4. */
	ck_assert_str_eq(endpoint_of("[::ffff:192.0.2.2]:51820"), "192.0.2.2:51820 0 ");
	ck_assert_str_eq(endpoint_of("[::FFFF:c000:202]:51820"), "192.0.2.2:51820 0 ");
	ck_assert_str_eq(endpoint_of("[::ffff:0:192.0.2.2]:1"), "[::ffff:0:c000:202]:1 0 ");
	ck_assert_str_eq(endpoint_of("[::192.0.2.2]:1"), "[::c000:202]:1 0 ");
	ck_assert_str_eq(endpoint_of("[fe80::1%eth0]:51820"), "[fe80::1]:51820 0 eth0");
	ck_assert_str_eq(endpoint_of("[fe80::1%7]:51820"), "[fe80::1]:51820 7 ");
	ck_assert_str_eq(endpoint_of("[fe80::1]:51820"), "[fe80::1]:51820 0 ");
	ck_assert_str_eq(endpoint_of("[febf::1%123456789012345]:1"), "[febf::1]:1 0 123456789012345");
	/* Names that no interface can have. */
	ck_assert_str_eq(endpoint_of("[fe80::1%1234567890123456]:1"), "[fe80::1]:1 0 ");
	ck_assert_str_eq(endpoint_of("[fe80::1%]:1"), "[fe80::1]:1 0 ");
	ck_assert_str_eq(endpoint_of("[fe80::1%4294967295]:1"), "[fe80::1]:1 0 4294967295");
	/* Other addresses have no zone. */
	ck_assert_str_eq(endpoint_of("[2001:db8::1%eth0]:1"), "[2001:db8::1]:1 0 ");
	ck_assert_str_eq(endpoint_of("[fec0::1%3]:1"), "[fec0::1]:1 0 ");
	ck_assert_str_eq(endpoint_of("[fe80::1%eth0:1"), "refused");
	ck_assert_str_eq(endpoint_of("fe80::1%eth0]:1"), "refused");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uapi_format");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, in_any_pieces);
	tcase_add_test(tcase, keeps_no_secret);
	tcase_add_test(tcase, is_bounded);
	tcase_add_test(tcase, invalid_text);
	tcase_add_test(tcase, an_errno);
	tcase_add_test(tcase, endpoints);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
