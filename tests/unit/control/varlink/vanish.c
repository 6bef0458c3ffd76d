/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that go away at every byte of their requests and at every byte of the answers, operators and
 * others, with every kind of request. The server survives, forgets them, and answers the next one.
 */

#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

static const char *const requests[] = {
	SAY("text"),
	METHOD("Echo"),
	METHOD("Secret"),
	METHOD("Forget"),
	METHOD("Break"),
	METHOD("NotYet"),
	METHOD("Nope"),
	METHOD(""),
	METHOD("Stream"),
	METHOD("Later"),
	"{'method':'org.example.test.Stream','more':true}",
	"{'method':'org.example.test.Secret','upgrade':true}",
	"{'method':'org.example.test.Echo','parameters':{'text':7}}",
	"{'method':'org.example.test.Echo','parameters':{'text':'a','b':1}}",
	"{'method':'org.example.test.Echo','parameters':{'text':'a'},'oneway':true}",
	"{'method':'org.example.test.Later','oneway':true}",
	"{'method':'org.example.test.Large','parameters':{'bytes':300}}",
	"{'method':'org.varlink.service.GetInfo'}",
	"{'method':'org.varlink.service.GetInterfaceDescription','parameters':{'interface':'org.example.test'}}",
	"{'method':'org.varlink.service.GetInterfaceDescription','parameters':{'interface':'x'}}",
	"{'method':'org.varlink.service.Nope'}",
	"{'method':'x.y'}",
	"{'method':'x.'}",
	"{'method':'.'}",
	"{'method':'x'}",
	"{'method':''}",
	"{'method':'x.y','oneway':true}",
	"{'method':'x.y','more':true}",
	"{'method':7}",
	"{}",
	"[]",
};

/* The server's end of the client that goes, and how many bytes it takes first. */
static int victim = -1;
static size_t taken;
static struct peer *going;

static void go(void)
{
	event_del(going->event);
	shutdown(going->fd, SHUT_RDWR);
	going->eof = true;
}

/* Replaces the C library's: the victim gets only as many bytes as it takes, and then its end is closed. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr first = *message;
	struct iovec piece;
	ssize_t n;

	if (fd != victim || message->msg_iovlen == 0)
		return syscall(SYS_sendmsg, fd, message, flags);
	if (taken == 0 && !going->eof)
		go();
	piece = message->msg_iov[0];
	piece.iov_len = going->eof ? piece.iov_len : MIN(piece.iov_len, taken);
	first.msg_iov = &piece;
	first.msg_iovlen = 1;
	n = syscall(SYS_sendmsg, fd, &first, flags);
	if (n > 0)
		taken -= (size_t)n;
	return n;
}

static void connect_victim(struct peer *peer, struct fixture *f)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	victim = fds[0];
	ck_assert_int_eq(varlink_server_add_connection(f->server, fds[0]), 0);
	peer_init(peer, f, fds[1]);
	going = peer;
}

/* The server has forgotten the client, and no call of it is left. */
static void expect_forgotten(struct fixture *f, struct peer *peer)
{
	turn_until(f->base, counters(f).clients == 1);
	/* A oneway call is run although its client has gone. */
	if (f->kept) {
		ck_assert_int_eq(varlink_call_reply(f->kept, NULL), -ENOTCONN);
		varlink_call_unref(TAKE_PTR(f->kept));
	}
	victim = -1;
	peer_close(peer);
}

/* Answers a call that was kept: a stream in three pieces. */
static void answer_kept(struct fixture *f)
{
	if (varlink_call_wants_more(f->kept))
		for (int i = 0; i < 2; i++)
			(void)varlink_call_reply_continues(f->kept, json_pack("{si}", "number", i));
	(void)varlink_call_reply(f->kept, json_pack("{si}", "number", 2));
	varlink_call_unref(TAKE_PTR(f->kept));
}

static void vanish_in_request(struct fixture *f, const char *request, size_t n, int how)
{
	struct peer peer;

	connect_victim(&peer, f);
	taken = SIZE_MAX;
	peer_send_bytes(&peer, request, n);
	if (how >= 0)
		ck_assert_int_eq(shutdown(peer.fd, how), 0);
	else
		go();
	/* A client that only shuts down its sending side is still answered, and takes the answers. */
	while (how >= 0 && counters(f).clients == 2) {
		if (f->kept)
			answer_kept(f);
		ck_assert_int_eq(event_base_loop(f->base, EVLOOP_ONCE), 0);
	}
	turn_until(f->base, counters(f).clients == 1 || f->kept);
	if (f->kept && !varlink_call_is_closed(f->kept))
		answer_kept(f);
	expect_forgotten(f, &peer);
}

/* Whether the answer is longer. */
static bool vanish_in_answer(struct fixture *f, const char *request, size_t n)
{
	struct peer peer;
	bool longer;

	connect_victim(&peer, f);
	taken = n;
	peer_send_bytes(&peer, request, strlen(request) + 1);
	/* Until it has gone, was cut off, or has had all its answers. */
	for (int i = 0; !peer.eof && i < 4; i++) {
		ck_assert_int_eq(event_base_loop(f->base, EVLOOP_NONBLOCK), 0);
		if (f->kept)
			answer_kept(f);
	}
	longer = peer.eof && taken == 0;
	if (!peer.eof)
		go();
	expect_forgotten(f, &peer);
	return longer;
}

static void vanish_everywhere(bool operators, bool in_answer)
{
	size_t places = 0;
	struct peer other;
	struct fixture f;

	fixture_init(&f, NULL);
	f.operators = operators;
	peer_connect(&other, &f);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		json_t *value = json_of(requests[i]);
		_cleanup_free_ char *request = json_dumps(value, JSON_COMPACT);
		size_t n = strlen(request) + 1, at = 0;

		json_decref(value);
		if (in_answer)
			while (vanish_in_answer(&f, request, at))
				at++;
		else
			for (; at <= n; at++) {
				vanish_in_request(&f, request, at, -1);
				vanish_in_request(&f, request, at, SHUT_WR);
				vanish_in_request(&f, request, at, SHUT_RDWR);
			}
		ck_assert_uint_lt(at, 2000);
		places += at;
		expect(&other, SAY("unharmed"), SAID("unharmed"));
	}
	ck_assert_uint_gt(places, in_answer ? 2000 : 1200);
	peer_close(&other);
	turn_until(f.base, counters(&f).clients == 0);
	fixture_deinit(&f);
}

START_TEST(test_in_a_request)
{
	vanish_everywhere(true, false);
	vanish_everywhere(false, false);
}
END_TEST

START_TEST(test_in_an_answer)
{
	vanish_everywhere(true, true);
	vanish_everywhere(false, true);
}
END_TEST

/* The answer to an unknown interface has nowhere to go. */
START_TEST(test_unknown_interface_of_one_who_has_gone)
{
	static const char request[] = "{\"method\":\"x.y\"}";
	struct peer peer, other;
	struct fixture f;

	fixture_init(&f, NULL);
	f.operators = false;
	peer_connect(&other, &f);
	connect_victim(&peer, &f);
	peer_send_bytes(&peer, request, sizeof(request));
	taken = 0;
	turn_until(f.base, counters(&f).clients == 1);
	ck_assert_uint_eq(counters(&f).calls, 1);
	ck_assert_uint_eq(counters(&f).cut_off, 0);
	expect(&other, "{'method':'x.y'}",
	       "{'error':'org.varlink.service.InterfaceNotFound','parameters':{'interface':'x'}}");
	victim = -1;
	peer_close(&peer);
	peer_close(&other);
	fixture_deinit(&f);
}
END_TEST

/* When a listener that has shut down its sending side hangs up, the loop gets no event. */
START_TEST(test_lingers_with_its_sending_side_shut)
{
	struct peer peer;
	struct fixture f;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(event_base_loop(f.base, EVLOOP_NONBLOCK), 0);
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, json_pack("{si}", "number", 1)), 0);
	assert_json(peer_receive(&peer), "{'parameters':{'number':1},'continues':true}");
	/* Nothing is sent, so nothing fails; the server must find out all the same. */
	peer_close(&peer);
	turn_until(f.base, f.n_closed == 1);
	ck_assert_uint_eq(counters(&f).clients, 0);
	fixture_deinit(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_in_a_request,
		test_in_an_answer,
		test_unknown_interface_of_one_who_has_gone,
		test_lingers_with_its_sending_side_shut,
	};

	return run_suite("varlink_vanish", tests, ARRAY_SIZE(tests));
}
