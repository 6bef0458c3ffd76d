/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client of the control socket may send. The decoder gives the same messages however the stream is
 * cut. The server, with the real interface, answers or cuts off, but always finishes with the client, whether
 * it waits for its answers, or goes when it has sent everything, or after a few answers.
 */

#include "common/cleanup.h"
#include "control/varlink/codec.h"
#include "control/varlink/interfaces.h"
#include "control/varlink/server.h"
#include "tests/fuzz/fuzz_support.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>

/* Everything decoded from a stream, encoded again; and how it ended. */
static int decode(const uint8_t *data, size_t size, size_t piece, struct buffer *ret_text)
{
	struct varlink_decoder decoder = {.max = 4096};
	json_t *message;
	int r = 0;

	for (size_t i = 0; i < size && r == 0; i += piece) {
		r = varlink_decoder_feed(&decoder, data + i, MIN(piece, size - i));
		while (r == 0 && (r = varlink_decoder_next(&decoder, &message)) > 0) {
			/* Numbers that fit JSON but not a double have no text. */
			(void)varlink_encode(ret_text, message);
			json_decref(message);
			r = 0;
		}
	}
	varlink_decoder_deinit(&decoder);
	return r;
}

static void check_decoder(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer whole = {}, pieces = {};
	int r = decode(data, size, 4096, &whole);
	int again = decode(data, size, 18, &pieces);

	REQUIRE((r == 0) == (again == 0));
	REQUIRE(whole.length == pieces.length);
	REQUIRE(whole.length == 0 || memcmp(whole.data, pieces.data, whole.length) == 0);
}

static int run_nothing(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)parameters;
	(void)userdata;
	return varlink_call_reply(call, NULL);
}

/* One reply of a stream, and its end. */
static int run_stream(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)userdata;
	if (varlink_call_wants_more(call))
		varlink_call_reply_continues(call, json_incref(parameters));
	return varlink_call_reply(call, NULL);
}

static const struct varlink_method methods[] = {
	{.name = "Start", .flags = VARLINK_PRIVILEGED, .run = run_nothing},
	{.name = "Stop", .run = run_stream},
	{.name = "Reconfig", .run = run_nothing},
	{.name = "SetNodes", .run = run_nothing},
	{.name = "Status", .run = run_stream},
	{.name = "Tail", .flags = VARLINK_NEEDS_MORE, .run = run_stream},
	{.name = "Flush"},
};

static const struct varlink_interface interface = {
	.name = "org.netlogd.control",
	.description = interface_control,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

/* Sends all of it to the server and reads the answers, until either end stops. */
static void talk(struct event_base *base, int fd, const uint8_t *data, size_t size, size_t patience)
{
	char answers[4096];
	ssize_t n;

	for (;;) {
		n = size > 0 ? send(fd, data, MIN(size, 4096), MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
		if (size == 0 && patience == 0)
			return;
		if (size == 0)
			shutdown(fd, SHUT_WR);
		event_base_loop(base, EVLOOP_NONBLOCK);
		n = recv(fd, answers, MIN(sizeof(answers), MAX(patience, (size_t)1)), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return;
		if (n > 0)
			patience -= MIN(patience, (size_t)n);
	}
}

static bool everybody(uid_t uid, void *userdata)
{
	(void)uid;
	(void)userdata;
	return true;
}

static void check_server(const uint8_t *data, size_t size, size_t patience, bool operator_)
{
	const struct varlink_server_options options = {.vendor = "netlogd",
						       .is_operator = operator_ ? everybody : NULL};
	_cleanup_(varlink_server_freep) struct varlink_server *server = NULL;
	struct varlink_server_counters counters;
	struct event_base *base = event_base_new();
	int fds[2];

	REQUIRE(base);
	REQUIRE(varlink_server_new(base, &options, &server) == 0);
	REQUIRE(varlink_server_add_interface(server, &interface) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	REQUIRE(varlink_server_add_connection(server, fds[0]) == 0);
	talk(base, fds[1], data, size, patience);
	safe_close(fds[1]);
	/* The server drops the remaining answers and forgets the client. */
	do {
		event_base_loop(base, EVLOOP_ONCE);
		varlink_server_get_counters(server, &counters);
	} while (counters.clients > 0);
	varlink_server_free(TAKE_PTR(server));
	event_base_free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_decoder(data, size);
	check_server(data, size, SIZE_MAX, true);
	check_server(data, size, 0, false);
	if (size > 0)
		check_server(data, size, data[size / 2], true);
	return 0;
}
