/* SPDX-License-Identifier: BSD-3-Clause */
/* The server and the clients of the server's suites. */

#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>

const char test_description[] = "interface org.example.test\n"
				"method Echo(text: string, n: ?int) -> (text: string)\n"
				"method Later() -> (number: int)\n"
				"method Secret() -> ()\n"
				"method Stream() -> (number: int)\n"
				"method Forget() -> ()\n"
				"method Break() -> ()\n"
				"method Large(bytes: int) -> (text: string)\n"
				"method NotYet() -> ()\n"
				"error Failed (reason: string)\n";

static int run_echo(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct fixture *f = userdata;
	json_t *text = json_object_get(parameters, "text");

	json_array_append(f->order, text);
	return varlink_call_reply(call, json_pack("{sO}", "text", text));
}

static void on_closed(struct varlink_call *call, void *userdata)
{
	struct fixture *f = userdata;

	ck_assert_ptr_eq(call, f->kept);
	ck_assert(varlink_call_is_closed(call));
	f->n_closed++;
	varlink_call_unref(TAKE_PTR(f->kept));
}

static int run_keep(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct fixture *f = userdata;

	(void)parameters;
	ck_assert_ptr_null(f->kept);
	f->kept = varlink_call_ref(call);
	f->n_kept++;
	varlink_call_on_closed(call, on_closed, f);
	return 0;
}

static int run_nothing(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)call;
	(void)parameters;
	(void)userdata;
	return 0;
}

static int run_secret(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)parameters;
	(void)userdata;
	return varlink_call_reply(call, NULL);
}

static int run_break(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)call;
	(void)parameters;
	(void)userdata;
	return -EIO;
}

static int run_large(struct varlink_call *call, json_t *parameters, void *userdata)
{
	size_t n = (size_t)json_integer_value(json_object_get(parameters, "bytes"));
	_cleanup_free_ char *text = malloc(n + 1);

	(void)userdata;
	memset(text, 'x', n);
	text[n] = '\0';
	return varlink_call_reply(call, json_pack("{ss}", "text", text));
}

static const struct varlink_method methods[] = {
	{.name = "Echo", .run = run_echo},
	{.name = "Later", .run = run_keep},
	{.name = "Secret", .flags = VARLINK_PRIVILEGED, .run = run_secret},
	{.name = "Stream", .flags = VARLINK_NEEDS_MORE, .run = run_keep},
	{.name = "Forget", .run = run_nothing},
	{.name = "Break", .run = run_break},
	{.name = "Large", .run = run_large},
	{.name = "NotYet"},
};

const struct varlink_interface test_interface = {
	.name = "org.example.test",
	.description = test_description,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

static bool is_operator(uid_t uid, void *userdata)
{
	const struct fixture *f = userdata;

	ck_assert_uint_eq(uid, getuid());
	return f->operators;
}

void fixture_init(struct fixture *f, const struct varlink_server_options *settings)
{
	struct varlink_server_options options = {};

	*f = (struct fixture){.base = event_base_new(), .order = json_array(), .operators = true};
	ck_assert_ptr_nonnull(f->base);
	if (settings)
		options = *settings;
	if (options.other_priority > 0)
		ck_assert_int_eq(event_base_priority_init(f->base, options.other_priority + 1), 0);
	ck_assert_int_eq(worker_new(f->base, "large", 0, &f->worker), 0);
	options.worker = f->worker;
	options.vendor = "Example";
	options.product = "test";
	options.version = "1.2";
	options.url = "https://example.org";
	options.is_operator = is_operator;
	options.userdata = f;
	ck_assert_int_eq(varlink_server_new(f->base, &options, &f->server), 0);
	ck_assert_int_eq(varlink_server_add_interface(f->server, &test_interface), 0);
}

void fixture_deinit(struct fixture *f)
{
	worker_free(f->worker);
	varlink_server_free(f->server);
	ck_assert_ptr_null(f->kept);
	json_decref(f->order);
	event_base_free(f->base);
}

static void peer_read(evutil_socket_t fd, short what, void *userdata)
{
	struct peer *peer = userdata;
	char piece[4096];
	ssize_t n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);

	(void)what;
	if (n > 0)
		ck_assert_int_eq(varlink_decoder_feed(&peer->decoder, piece, (size_t)n), 0);
	else if (n == 0 || errno != EAGAIN) {
		peer->eof = true;
		event_del(peer->event);
	}
}

void peer_init(struct peer *peer, struct fixture *f, int fd)
{
	*peer = (struct peer){.f = f, .fd = fd, .decoder.max = 64 << 20};
	peer->event = event_new(f->base, fd, EV_READ | EV_PERSIST, peer_read, peer);
	event_add(peer->event, NULL);
}

void peer_connect(struct peer *peer, struct fixture *f)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_server_add_connection(f->server, fds[0]), 0);
	peer_init(peer, f, fds[1]);
}

void peer_close(struct peer *peer)
{
	event_free(peer->event);
	peer->fd = safe_close(peer->fd);
	varlink_decoder_deinit(&peer->decoder);
}

void peer_send_bytes(struct peer *peer, const char *data, size_t n)
{
	ck_assert_int_eq(send(peer->fd, data, n, MSG_NOSIGNAL), (ssize_t)n);
}

void peer_send(struct peer *peer, const char *request)
{
	json_t *value = json_of(request);
	_cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

	peer_send_bytes(peer, text, strlen(text) + 1);
	json_decref(value);
}

json_t *peer_receive(struct peer *peer)
{
	json_t *message = NULL;

	turn_until(peer->f->base, peer->eof || varlink_decoder_next(&peer->decoder, &message) != 0);
	ck_assert_msg(message != NULL, "cut off");
	return message;
}

void expect(struct peer *peer, const char *request, const char *answer)
{
	peer_send(peer, request);
	assert_json(peer_receive(peer), answer);
}

void expect_cut_off(struct peer *peer)
{
	json_t *message;

	turn_until(peer->f->base, peer->eof);
	ck_assert_int_eq(varlink_decoder_next(&peer->decoder, &message), 0);
}

struct varlink_server_counters counters(struct fixture *f)
{
	struct varlink_server_counters counters;

	varlink_server_get_counters(f->server, &counters);
	return counters;
}
