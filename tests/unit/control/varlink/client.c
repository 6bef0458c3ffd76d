/* SPDX-License-Identifier: BSD-3-Clause */
/* The client that waits: replies, errors, streams, deadlines, and servers that go away or send garbage. */

#include "control/varlink/client.h"

#include "common/time_text.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>

/* A client whose server is a script: it sends these bytes, whatever it is asked. */
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

/* Bytes as they come; data from before the request is an error, and waits end. */
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

/* A server that does not read cannot hold its client past the deadline. */
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
	/* And one that has gone is an error, not a signal. */
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

int main(void)
{
	const TTest *const tests[] = {
		test_read,	    test_receive,	test_receive_fails, test_receive_again,
		test_largest_reply, test_send_deadline, test_connect,
	};

	return run_suite("varlink_client", tests, ARRAY_SIZE(tests));
}
