/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients that misbehave, go away or take their time: turns, limits, and who is served first. */

#include "control/varlink/connection.h"

#include "common/buffer.h"
#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

START_TEST(test_byte_by_byte)
{
	static const char request[] =
		"{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\"}}";
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	for (size_t i = 0; i < sizeof(request); i++) {
		peer_send_bytes(&peer, request + i, 1);
		ck_assert_int_eq(event_base_loop(f.base, EVLOOP_ONCE), 0);
	}
	assert_json(peer_receive(&peer), SAID("x"));
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* A client that is no longer an operator loses its connection, and with it its stream. */
START_TEST(test_no_operator_any_more)
{
	struct fixture f;
	struct peer stream, other;

	fixture_init(&f, NULL);
	f.operators = false;
	peer_connect(&other, &f);
	f.operators = true;
	peer_connect(&stream, &f);
	peer_send(&stream, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	varlink_server_check_operators(f.server);
	ck_assert_int_eq(event_base_loop(f.base, EVLOOP_NONBLOCK), 0);
	ck_assert_uint_eq(f.n_closed, 0);
	f.operators = false;
	varlink_server_check_operators(f.server);
	turn_until(f.base, f.n_closed == 1);
	expect_cut_off(&stream);
	expect(&other, SAY("still here"), SAID("still here"));
	peer_close(&stream);
	peer_close(&other);
	fixture_deinit(&f);
}
END_TEST

/* Nothing is left of a client that goes while one of its requests waits behind a stream. */
START_TEST(test_gone_with_a_request_waiting)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	peer_send(&peer, SAY("never"));
	turn_until(f.base, f.kept != NULL);
	ck_assert_int_eq(event_base_loop(f.base, EVLOOP_NONBLOCK), 0);
	peer_close(&peer);
	turn_until(f.base, f.n_closed == 1);
	ck_assert_uint_eq(counters(&f).clients, 0);
	ck_assert_uint_eq(json_array_size(f.order), 0);
	fixture_deinit(&f);
}
END_TEST

/* A client that has shut down its sending side still gets its answers. */
START_TEST(test_half_closed)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	peer_send(&peer, SAY("after"));
	ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
	turn_until(f.base, f.kept != NULL);
	ck_assert_int_eq(varlink_call_reply(f.kept, json_pack("{si}", "number", 1)), 0);
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer), "{'parameters':{'number':1}}");
	assert_json(peer_receive(&peer), SAID("after"));
	turn_until(f.base, peer.eof);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_garbage)
{
	static const char *const garbage[] = {
		"[]",
		"GET / HTTP/1.1",
		"{}",
		"{\"method\":1}",
		"{\"method\":\"org.example.test.Secret\",\"parameters\":[]}",
		"{\"method\":\"org.example.test.Secret\",\"more\":1}",
		"{\"method\":\"org.example.test.Secret\",\"oneway\":\"yes\"}",
		"{\"method\":\"org.example.test.Secret\"}{}",
		"",
	};
	struct fixture f;
	struct peer other;

	fixture_init(&f, NULL);
	peer_connect(&other, &f);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct peer peer;

		peer_connect(&peer, &f);
		peer_send_bytes(&peer, garbage[i], strlen(garbage[i]) + 1);
		expect_cut_off(&peer);
		peer_close(&peer);
	}
	ck_assert_uint_eq(counters(&f).cut_off, ARRAY_SIZE(garbage));
	expect(&other, SAY("unharmed"), SAID("unharmed"));
	peer_close(&other);
	fixture_deinit(&f);
}
END_TEST

/* Sends all of it, however slowly the server takes it, unless cut off. */
static void send_all(struct peer *peer, const char *data, size_t n)
{
	for (size_t i = 0; i < n && !peer->eof;) {
		ssize_t sent = send(peer->fd, data + i, n - i, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			i += (size_t)sent;
		else
			event_base_loop(peer->f->base, EVLOOP_NONBLOCK);
	}
}

static void send_much(struct peer *peer, size_t n)
{
	_cleanup_free_ char *much = malloc(n);

	memset(much, ' ', n);
	send_all(peer, much, n);
}

START_TEST(test_too_large)
{
	static const char request[] =
		"{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\"}}";
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	/* Exactly the largest is taken. */
	peer_connect(&peer, &f);
	send_much(&peer, VARLINK_MESSAGE_MAX - (sizeof(request) - 1));
	peer_send_bytes(&peer, request, sizeof(request));
	assert_json(peer_receive(&peer), SAID("x"));
	/* One byte more is not. */
	send_much(&peer, VARLINK_MESSAGE_MAX + 1);
	expect_cut_off(&peer);
	ck_assert_uint_eq(counters(&f).cut_off, 1);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* A request may have only so many values, and fewer from a client that is not an operator. */
START_TEST(test_too_many_values)
{
	static const struct {
		bool operators;
		size_t values;
		bool cut_off;
	} cases[] = {{true, 128 * 1024, false},
		     {true, 128 * 1024 + 1, true},
		     {false, 1024, false},
		     {false, 1025, true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		static const char begin[] = "{\"method\":\"x.y\",\"parameters\":{\"a\":[";
		_cleanup_buffer_ struct buffer request = {};
		struct fixture f;
		struct peer peer;

		fixture_init(&f, NULL);
		f.operators = cases[i].operators;
		peer_connect(&peer, &f);
		/* Four in the frame, and a comma before each number but the first. */
		buffer_append_text(&request, begin);
		for (size_t n = 4; n < cases[i].values; n++)
			buffer_append_text(&request, "0,");
		buffer_append(&request, "0]}}", 5);
		send_all(&peer, request.data, request.length);
		if (cases[i].cut_off)
			expect_cut_off(&peer);
		else
			assert_json(
				peer_receive(&peer),
				"{'error':'org.varlink.service.InterfaceNotFound','parameters':{'interface':'x'}}");
		ck_assert_uint_eq(counters(&f).cut_off, cases[i].cut_off);
		peer_close(&peer);
		turn_until(f.base, counters(&f).clients == 0);
		fixture_deinit(&f);
	}
}
END_TEST

/* A client that is not an operator gets eight requests in 40 ms, however many it sends at once. */
START_TEST(test_asks_without_end)
{
	struct timespec begin, end;
	struct fixture f;
	struct peer peer, other;
	int64_t ms;

	fixture_init(&f, NULL);
	f.operators = false;
	peer_connect(&peer, &f);
	peer_connect(&other, &f);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 100; i++)
		peer_send(&peer, METHOD("Secret"));
	for (uint64_t answers = 1; answers <= 100; answers++) {
		json_decref(peer_receive(&peer));
		clock_gettime(CLOCK_MONOTONIC, &end);
		ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
		ck_assert_uint_le(counters(&f).calls, (uint64_t)(ms / 40 + 1) * 8);
	}
	/* Only that client waits. */
	expect(&other, SAY("x"), SAID("x"));
	/* An operator may ask as fast as the loop turns. */
	f.operators = true;
	peer_close(&other);
	peer_connect(&other, &f);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 100; i++)
		peer_send(&other, METHOD("Secret"));
	for (int i = 0; i < 100; i++)
		json_decref(peer_receive(&other));
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	ck_assert_int_lt(ms, 100 / 8 * 40);
	peer_close(&peer);
	peer_close(&other);
	fixture_deinit(&f);
}
END_TEST

/* Operators are served before others who asked earlier. */
START_TEST(test_operators_go_first)
{
	struct varlink_server_options options = {.operator_priority = 1, .other_priority = 2};
	struct peer others[20], operator_;
	struct fixture f;

	fixture_init(&f, &options);
	f.operators = false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		peer_connect(&others[i], &f);
	f.operators = true;
	peer_connect(&operator_, &f);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		for (int n = 0; n < 4; n++)
			peer_send(&others[i], SAY("other"));
	for (int n = 0; n < 4; n++)
		peer_send(&operator_, SAY("operator"));
	turn_until(f.base, json_array_size(f.order) == 4 * (ARRAY_SIZE(others) + 1));
	for (size_t i = 0; i < json_array_size(f.order); i++)
		ck_assert_str_eq(json_string_value(json_array_get(f.order, i)), i < 4 ? "operator" : "other");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		peer_close(&others[i]);
	peer_close(&operator_);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_silent_within_message)
{
	struct varlink_server_options options = {.idle_in_message_ms = 50};
	struct fixture f;
	struct peer idle, silent, waiting;

	fixture_init(&f, &options);
	peer_connect(&idle, &f);
	peer_connect(&waiting, &f);
	peer_send(&waiting, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	peer_connect(&silent, &f);
	peer_send_bytes(&silent, "{\"method\":", 10);
	expect_cut_off(&silent);
	/* Between messages, and while it is owed an answer, a client may be silent for ever. */
	ck_assert(!idle.eof && !waiting.eof);
	expect(&idle, SAY("x"), SAID("x"));
	ck_assert_uint_eq(counters(&f).cut_off, 1);
	peer_close(&idle);
	peer_close(&silent);
	peer_close(&waiting);
	turn_until(f.base, f.n_closed == 1);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_does_not_read)
{
	struct varlink_server_options options = {.max_output = 1 << 20};
	struct fixture f;
	struct peer peer;
	char text[1024];
	int r, n = 0;

	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"number\":1", 11);
	text[sizeof(text) - 1] = '}';
	fixture_init(&f, &options);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	event_del(peer.event);
	do
		r = varlink_call_reply_continues_text(f.kept, text, sizeof(text));
	while (r == 0 && ++n < 100000);
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_ge(n, 1000);
	ck_assert_uint_le(varlink_call_pending(f.kept), (1 << 20) + 2 * sizeof(text));
	/* Told from the loop, not from within the answer. */
	ck_assert_uint_eq(f.n_closed, 0);
	ck_assert_int_eq(varlink_call_reply_continues_text(f.kept, text, sizeof(text)), -ENOTCONN);
	turn_until(f.base, f.n_closed == 1);
	ck_assert_uint_eq(counters(&f).cut_off, 1);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_gone_before_its_answer)
{
	struct fixture f;
	struct peer peer;

	/* Without a signal: users of the server need not think of SIGPIPE. */
	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	peer_close(&peer);
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, NULL), -ENOTCONN);
	ck_assert_uint_eq(f.n_closed, 0);
	turn_until(f.base, f.n_closed == 1);
	fixture_deinit(&f);
}
END_TEST

/* A client that keeps asking without reading is served up to a bound, and cut off after a while. */
START_TEST(test_asks_and_does_not_read)
{
	struct varlink_server_options options = {.idle_in_message_ms = 200};
	struct fixture f;
	struct peer peer;

	fixture_init(&f, &options);
	peer_connect(&peer, &f);
	event_del(peer.event);
	for (int i = 0; i < 200; i++)
		peer_send(&peer, "{'method':'org.example.test.Large','parameters':{'bytes':100000}}");
	turn_until(f.base, counters(&f).clients == 0);
	ck_assert_uint_lt(counters(&f).calls, 20);
	ck_assert_uint_eq(counters(&f).cut_off, 1);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* Answers much larger than a socket holds arrive whole, and so do those behind them. */
START_TEST(test_large_answers)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	for (int i = 0; i < 5; i++)
		peer_send(&peer, "{'method':'org.example.test.Large','parameters':{'bytes':3000000}}");
	for (int i = 0; i < 5; i++) {
		json_t *answer = peer_receive(&peer);

		ck_assert_uint_eq(
			json_string_length(json_object_get(json_object_get(answer, "parameters"), "text")),
			3000000);
		json_decref(answer);
	}
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* Operators take none of the places of others while there is room at all. */
START_TEST(test_operators_and_others)
{
	struct varlink_server_options options = {.max_clients = 8};
	struct peer peers[8];
	struct fixture f;
	int fds[2];

	fixture_init(&f, &options);
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		f.operators = i < 2;
		peer_connect(&peers[i], &f);
	}
	for (int n = 0; n < 2; n++) {
		f.operators = n == 0;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		ck_assert_int_eq(varlink_server_add_connection(f.server, fds[0]), -EUSERS);
		safe_close(fds[1]);
	}
	/* The place of a client that is not an operator is free for one more, and not for two. */
	peer_close(&peers[7]);
	turn_until(f.base, counters(&f).clients == 7);
	f.operators = false;
	peer_connect(&peers[7], &f);
	peer_close(&peers[0]);
	turn_until(f.base, counters(&f).clients == 7);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_server_add_connection(f.server, fds[0]), -EUSERS);
	safe_close(fds[1]);
	f.operators = true;
	peer_connect(&peers[0], &f);
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		peer_close(&peers[i]);
	fixture_deinit(&f);
}
END_TEST

static void wait_for(void *semaphore)
{
	ck_assert_int_eq(sem_wait(semaphore), 0);
}

static void send_large(struct peer *peer)
{
	static char request[70000];
	int n = snprintf(request, sizeof(request),
			 "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"");

	memset(request + n, 'x', sizeof(request) - (size_t)n);
	memcpy(request + sizeof(request) - 4, "\"}}", 4);
	peer_send_bytes(peer, request, sizeof(request));
}

/* While a large request is decoded, others are served; its client's next request waits for it. */
START_TEST(test_large_request_beside_the_loop)
{
	struct peer large, other;
	json_t *answer;
	struct fixture f;
	sem_t semaphore;

	ck_assert_int_eq(sem_init(&semaphore, 0, 0), 0);
	fixture_init(&f, NULL);
	peer_connect(&large, &f);
	peer_connect(&other, &f);
	ck_assert_int_eq(worker_post(f.worker, wait_for, NULL, &semaphore), 0);
	send_large(&large);
	peer_send(&large, SAY("second"));
	turn_until(f.base, worker_pending(f.worker) == 2);
	expect(&other, SAY("meanwhile"), SAID("meanwhile"));
	ck_assert_uint_eq(json_array_size(f.order), 1);
	sem_post(&semaphore);
	answer = peer_receive(&large);
	ck_assert_uint_gt(json_string_length(json_object_get(json_object_get(answer, "parameters"), "text")),
			  69000);
	json_decref(answer);
	assert_json(peer_receive(&large), SAID("second"));
	peer_close(&large);
	peer_close(&other);
	fixture_deinit(&f);
	sem_destroy(&semaphore);
}
END_TEST

/* A client may go, or be sent away, before its large request has been decoded. */
START_TEST(test_gone_before_its_request)
{
	struct peer gone, sent_away;
	struct fixture f;
	sem_t semaphore;

	ck_assert_int_eq(sem_init(&semaphore, 0, 0), 0);
	fixture_init(&f, NULL);
	peer_connect(&gone, &f);
	ck_assert_int_eq(worker_post(f.worker, wait_for, NULL, &semaphore), 0);
	send_large(&gone);
	turn_until(f.base, worker_pending(f.worker) == 2);
	peer_close(&gone);
	sem_post(&semaphore);
	/* As with a small one: it has arrived, so it is run. */
	turn_until(f.base, counters(&f).clients == 0);
	ck_assert_uint_eq(json_array_size(f.order), 1);

	peer_connect(&sent_away, &f);
	ck_assert_int_eq(worker_post(f.worker, wait_for, NULL, &semaphore), 0);
	send_large(&sent_away);
	turn_until(f.base, worker_pending(f.worker) == 2);
	f.operators = false;
	varlink_server_check_operators(f.server);
	expect_cut_off(&sent_away);
	ck_assert_uint_eq(counters(&f).clients, 0);
	sem_post(&semaphore);
	worker_drain(f.worker);
	ck_assert_uint_eq(json_array_size(f.order), 1);
	peer_close(&sent_away);
	fixture_deinit(&f);
	sem_destroy(&semaphore);
}
END_TEST

/* At the end what waits is not decoded, so that it does not hold up the end. */
START_TEST(test_end_with_a_large_request_waiting)
{
	struct fixture f;
	struct peer peer;
	sem_t semaphore;

	ck_assert_int_eq(sem_init(&semaphore, 0, 0), 0);
	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	ck_assert_int_eq(worker_post(f.worker, wait_for, NULL, &semaphore), 0);
	send_large(&peer);
	turn_until(f.base, worker_pending(f.worker) == 2);
	varlink_server_end(f.server);
	sem_post(&semaphore);
	worker_drain(f.worker);
	expect_cut_off(&peer);
	ck_assert_uint_eq(json_array_size(f.order), 0);
	peer_close(&peer);
	fixture_deinit(&f);
	sem_destroy(&semaphore);
}
END_TEST

START_TEST(test_large_garbage)
{
	static char garbage[70000];
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	memset(garbage, '[', sizeof(garbage) - 1);
	peer_send_bytes(&peer, garbage, sizeof(garbage));
	expect_cut_off(&peer);
	ck_assert_uint_eq(counters(&f).cut_off, 1);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_byte_by_byte,
		test_no_operator_any_more,
		test_gone_with_a_request_waiting,
		test_half_closed,
		test_garbage,
		test_too_large,
		test_too_many_values,
		test_asks_without_end,
		test_operators_go_first,
		test_silent_within_message,
		test_does_not_read,
		test_gone_before_its_answer,
		test_asks_and_does_not_read,
		test_large_answers,
		test_operators_and_others,
		test_large_request_beside_the_loop,
		test_gone_before_its_request,
		test_end_with_a_large_request_waiting,
		test_large_garbage,
	};

	return run_suite("varlink_connection", tests, ARRAY_SIZE(tests));
}
