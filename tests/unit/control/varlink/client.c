/* SPDX-License-Identifier: BSD-3-Clause */
/* Both clients: replies, errors, streams, deadlines, and servers that go away or answer nonsense. */

#include "control/varlink/client.h"

#include "common/time_text.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>

/* A client whose server is a script: these bytes, whatever it asks. */
static struct varlink_client *client_of(const char *script, size_t n, bool end, int *ret_fd)
{
	struct varlink_client *client;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(send(fds[1], script, n, MSG_NOSIGNAL), (ssize_t)n);
	if (end)
		shutdown(fds[1], SHUT_WR);
	ck_assert_int_eq(varlink_client_new_fd(fds[0], &client), 0);
	*ret_fd = fds[1];
	return client;
}

static void receive_fails(const char *script, size_t n, bool end, int error)
{
	struct varlink_client *client;
	json_t *parameters;
	char *name;
	int fd;

	client = client_of(script, n, end, &fd);
	ck_assert_int_eq(varlink_client_receive(client, 20, &parameters, &name, NULL), error);
	varlink_client_free(client);
	safe_close(fd);
}

/* Bytes as they come; nothing that came before it was asked for, and no wait without an end. */
START_TEST(test_read)
{
	static const char script[] = "{\"parameters\":{}}\0{\"parameters\":";
	struct varlink_client *client;
	json_t *parameters;
	const char *data;
	char *error;
	size_t n;
	int fd;

	client = client_of(script, sizeof(script) - 1, false, &fd);
	ck_assert_int_eq(varlink_client_read(client, 1000, &data, &n), 0);
	ck_assert_mem_eq(data, script, sizeof(script) - 1);
	ck_assert_uint_eq(n, sizeof(script) - 1);
	ck_assert_int_eq(varlink_client_read(client, 1, &data, &n), -ETIMEDOUT);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(varlink_client_read(client, 1000, &data, &n), 0);
	ck_assert_mem_eq(data, "x", 1);
	ck_assert_uint_eq(n, 1);
	shutdown(fd, SHUT_WR);
	ck_assert_int_eq(varlink_client_read(client, 1000, &data, &n), -ECONNRESET);
	varlink_client_free(client);
	safe_close(fd);

	client = client_of(script, sizeof(script) - 1, false, &fd);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, NULL), 0);
	json_decref(parameters);
	ck_assert_int_eq(varlink_client_read(client, 1000, &data, &n), -EBADMSG);
	varlink_client_free(client);
	safe_close(fd);
}
END_TEST

START_TEST(test_receive)
{
	static const char script[] =
		"{\"parameters\":{\"n\":1},\"continues\":true}\0{\"parameters\":{\"n\":2}}\0"
		"{\"error\":\"a.b.E\",\"parameters\":{\"why\":\"x\"}}";
	struct varlink_client *client;
	json_t *parameters;
	bool continues;
	char *error;
	int fd;

	client = client_of(script, sizeof(script), false, &fd);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, &continues), 0);
	assert_json(parameters, "{'n':1}");
	ck_assert(continues);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, &continues), 0);
	assert_json(parameters, "{'n':2}");
	ck_assert(!continues);
	ck_assert_ptr_null(error);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, NULL), 0);
	assert_json(parameters, "{'why':'x'}");
	ck_assert_str_eq(error, "a.b.E");
	free(error);
	varlink_client_free(client);
	safe_close(fd);
}
END_TEST

START_TEST(test_receive_fails)
{
	receive_fails("", 0, false, -ETIMEDOUT);
	receive_fails("{\"par", 5, false, -ETIMEDOUT);
	receive_fails("", 0, true, -ECONNRESET);
	receive_fails("{\"par", 5, true, -ECONNRESET);
	receive_fails("nonsense", 9, false, -EBADMSG);
	receive_fails("{\"error\":1}", 12, false, -EBADMSG);
}
END_TEST

/* A reply that comes in two parts around a time-out is not lost. */
START_TEST(test_receive_again)
{
	struct varlink_client *client;
	json_t *parameters;
	char *error;
	int fd;

	client = client_of("{\"parameters\":", 14, false, &fd);
	ck_assert_int_eq(varlink_client_receive(client, 1, &parameters, &error, NULL), -ETIMEDOUT);
	ck_assert_int_eq(send(fd, "{\"n\":1}}", 9, 0), 9);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, NULL), 0);
	assert_json(parameters, "{'n':1}");
	varlink_client_free(client);
	safe_close(fd);
}
END_TEST

START_TEST(test_largest_reply)
{
	static const char script[] = "{\"parameters\":{\"text\":\"0123456789\"}}";
	struct varlink_client *client;
	json_t *parameters;
	char *error;
	int fd;

	client = client_of(script, sizeof(script), false, &fd);
	varlink_client_set_max(client, 20);
	ck_assert_int_eq(varlink_client_receive(client, 1000, &parameters, &error, NULL), -EMSGSIZE);
	varlink_client_free(client);
	safe_close(fd);
}
END_TEST

/* A server that reads nothing holds its client no longer than it wants. */
START_TEST(test_send_deadline)
{
	_cleanup_free_ char *text = malloc((4 << 20) + 1);
	struct varlink_client *client;
	int64_t before = time_now_boot();
	int fd;

	memset(text, 'x', 4 << 20);
	text[4 << 20] = '\0';
	client = client_of("", 0, false, &fd);
	ck_assert_int_eq(varlink_client_send(client, "a.b.C", json_pack("{ss}", "t", text), false, 30),
			 -ETIMEDOUT);
	ck_assert_int_ge(time_now_boot() - before, 30 * NSEC_PER_MSEC);
	safe_close(fd);
	/* And one that has gone is told of without a signal. */
	ck_assert_int_eq(varlink_client_send(client, "a.b.C", NULL, false, 30), -ECONNRESET);
	varlink_client_free(client);
}
END_TEST

START_TEST(test_connect)
{
	const struct fake_answer answers[] = {{"Metrics", "{'text':'x'}"}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 1);
	struct varlink_client *client;
	json_t *parameters;
	char *error;

	ck_assert_int_eq(varlink_client_connect("/nowhere/socket", 100, &client), -ENOENT);
	ck_assert_int_eq(varlink_client_connect(fake_daemon_socket(daemon), -1, &client), 0);
	ck_assert_int_eq(
		varlink_client_call(client, "org.netlogd.control.Metrics", NULL, -1, &parameters, &error), 0);
	assert_json(parameters, "{'text':'x'}");
	ck_assert_ptr_null(error);
	varlink_client_free(client);
	json_decref(fake_daemon_stop(daemon));
}
END_TEST

/* The client on a loop. */

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

START_TEST(test_async)
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

START_TEST(test_async_many)
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

START_TEST(test_async_freed_in_reply)
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

/* A client whose server is a script, on the loop; what it is told in the end. */
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

START_TEST(test_async_ends)
{
	script_ends("", 0, 0, "[]");
	script_ends("{}", 3, 0, "[[null,{},false,1]]");
	script_ends("{}\0{", 4, -ECONNRESET, "[[null,{},false,1]]");
	script_ends("nonsense", 9, -EBADMSG, "[]");
	/* A reply that nobody asked for. */
	script_ends("{}\0{}", 6, -EBADMSG, "[[null,{},false,1]]");
}
END_TEST

START_TEST(test_async_does_not_queue_for_ever)
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
		test_read,	    test_receive,
		test_receive_fails, test_receive_again,
		test_largest_reply, test_send_deadline,
		test_connect,	    test_async,
		test_async_many,    test_async_freed_in_reply,
		test_async_ends,    test_async_does_not_queue_for_ever,
	};

	return run_suite("varlink_client", tests, ARRAY_SIZE(tests));
}
