/* SPDX-License-Identifier: BSD-3-Clause */
/* The client on a loop: replies, streams, being freed in a callback, and servers that end or send garbage. */

#include "control/varlink/async.h"

#include "common/cleanup.h"
#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>

struct seen {
	json_t *replies; /* [error or null, parameters, continues, request] */
	unsigned int n_closed;
	int error;
	struct varlink_async *async;
	bool free_in_reply;
};

static void on_reply(const char *error, json_t *parameters, bool continues, void *request, void *userdata)
{
	struct seen *seen = userdata;

	json_array_append_new(seen->replies, json_pack("[s?, O, b, i]", error, parameters, continues,
						       (int)(intptr_t)request));
	if (seen->free_in_reply)
		varlink_async_free(TAKE_PTR(seen->async));
}

static void on_closed(int error, void *userdata)
{
	struct seen *seen = userdata;

	seen->n_closed++;
	seen->error = error;
	varlink_async_free(TAKE_PTR(seen->async));
}

static const struct varlink_async_ops ops = {.reply = on_reply, .closed = on_closed};

/* Connects to the fixture's server. */
static void seen_init(struct seen *seen, struct fixture *f)
{
	int fds[2];

	*seen = (struct seen){.replies = json_array()};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_server_add_connection(f->server, fds[0]), 0);
	ck_assert_int_eq(varlink_async_new(f->base, fds[1], &ops, seen, &seen->async), 0);
}

static int ask(struct seen *seen, const char *method, const char *parameters, bool more, int request)
{
	_cleanup_free_ char *name = NULL;

	ck_assert_int_gt(asprintf(&name, "org.example.test.%s", method), 0);
	return varlink_async_send(seen->async, name, parameters ? json_of(parameters) : NULL, more,
				  (void *)(intptr_t)request);
}

START_TEST(test_replies)
{
	struct fixture f;
	struct seen seen;

	fixture_init(&f, NULL);
	seen_init(&seen, &f);
	ck_assert_int_eq(ask(&seen, "Echo", "{'text':'a'}", false, 1), 0);
	ck_assert_int_eq(ask(&seen, "Stream", NULL, true, 2), 0);
	ck_assert_int_eq(ask(&seen, "Nope", NULL, false, 3), 0);
	turn_until(f.base, f.kept != NULL);
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, json_pack("{si}", "number", 1)), 0);
	ck_assert_int_eq(varlink_call_reply(f.kept, json_pack("{si}", "number", 2)), 0);
	varlink_call_unref(TAKE_PTR(f.kept));
	turn_until(f.base, json_array_size(seen.replies) == 4);
	assert_json(seen.replies, "[[null,{'text':'a'},false,1],[null,{'number':1},true,2],"
				  "[null,{'number':2},false,2],['org.varlink.service.MethodNotFound',"
				  "{'method':'org.example.test.Nope'},false,3]]");
	/* The other side's end between two messages is none of ours. */
	varlink_server_free(TAKE_PTR(f.server));
	turn_until(f.base, seen.n_closed == 1);
	ck_assert_int_eq(seen.error, 0);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_many)
{
	struct fixture f;
	struct seen seen;

	fixture_init(&f, NULL);
	seen_init(&seen, &f);
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(ask(&seen, "Echo", "{'text':'a'}", false, i), 0);
	turn_until(f.base, json_array_size(seen.replies) == 500);
	for (size_t i = 0; i < 500; i++)
		ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(seen.replies, i), 3)),
				 (json_int_t)i);
	json_decref(seen.replies);
	varlink_async_free(seen.async);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_freed_in_reply)
{
	struct fixture f;
	struct seen seen;

	fixture_init(&f, NULL);
	seen_init(&seen, &f);
	seen.free_in_reply = true;
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(ask(&seen, "Echo", "{'text':'a'}", false, i), 0);
	turn_until(f.base, counters(&f).clients == 0);
	ck_assert_uint_eq(json_array_size(seen.replies), 1);
	ck_assert_uint_eq(seen.n_closed, 0);
	json_decref(seen.replies);
	fixture_deinit(&f);
}
END_TEST

/* A client whose server is a script: what it reports in the end. */
static void script_ends(const char *script, size_t n, int error, const char *replies)
{
	struct seen seen = {.replies = json_array()};
	struct event_base *base = event_base_new();
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_async_new(base, fds[0], &ops, &seen, &seen.async), 0);
	ck_assert_int_eq(ask(&seen, "Echo", NULL, false, 1), 0);
	ck_assert_int_eq(send(fds[1], script, n, MSG_NOSIGNAL), (ssize_t)n);
	shutdown(fds[1], SHUT_WR);
	turn_until(base, seen.n_closed == 1);
	ck_assert_int_eq(seen.error, error);
	assert_json(seen.replies, replies);
	safe_close(fds[1]);
	event_base_free(base);
}

START_TEST(test_ends)
{
	script_ends("", 0, 0, "[]");
	script_ends("{}", 3, 0, "[[null,{},false,1]]");
	script_ends("{}\0{", 4, -ECONNRESET, "[[null,{},false,1]]");
	script_ends("nonsense", 9, -EBADMSG, "[]");
	/* A reply that nobody asked for. */
	script_ends("{}\0{}", 6, -EBADMSG, "[[null,{},false,1]]");
}
END_TEST

START_TEST(test_does_not_queue_for_ever)
{
	struct seen seen = {.replies = json_array()};
	struct event_base *base = event_base_new();
	_cleanup_free_ char *text = malloc(100001);
	int fds[2], r, n = 0;

	memset(text, 'x', 100000);
	text[100000] = '\0';
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_async_new(base, fds[0], &ops, &seen, &seen.async), 0);
	do
		r = varlink_async_send(seen.async, "a.b.C", json_pack("{ss}", "t", text), false, NULL);
	while (r == 0 && ++n < 1000);
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_eq(n, 41);
	safe_close(fds[1]);
	turn_until(base, seen.n_closed == 1);
	json_decref(seen.replies);
	event_base_free(base);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_replies, test_many, test_freed_in_reply, test_ends, test_does_not_queue_for_ever,
	};

	return run_suite("varlink_async", tests, ARRAY_SIZE(tests));
}
