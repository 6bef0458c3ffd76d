/*
 * The server core on a real loop: order of answers, caps, permission, introspection, and clients that
 * misbehave. The other end is a bare socket, so that anything can be sent, on the same loop.
 */

#include "control/varlink_server.h"

#include "control/interfaces.h"
#include "control/varlink.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char description[] = "interface org.example.test\n"
				  "method Echo(text: string, n: ?int) -> (text: string)\n"
				  "method Later() -> (number: int)\n"
				  "method Secret() -> ()\n"
				  "method Stream() -> (number: int)\n"
				  "method Forget() -> ()\n"
				  "method Break() -> ()\n"
				  "method Large(bytes: int) -> (text: string)\n"
				  "method NotYet() -> ()\n"
				  "error Failed (reason: string)\n";

struct fixture {
	struct event_base *base;
	struct varlink_server *server;
	struct varlink_call *kept; /* of Later or Stream */
	unsigned int n_kept, n_closed;
	json_t *order;	/* texts of Echo, as they were run */
	bool operators; /* everybody is one */
};

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

static const struct varlink_interface test_interface = {
	.name = "org.example.test",
	.description = description,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

static bool is_operator(uid_t uid, void *userdata)
{
	const struct fixture *f = userdata;

	ck_assert_uint_eq(uid, getuid());
	return f->operators;
}

static void fixture_init(struct fixture *f, const struct varlink_server_options *settings)
{
	struct varlink_server_options options = {0};

	*f = (struct fixture){.base = event_base_new(), .order = json_array(), .operators = true};
	ck_assert_ptr_nonnull(f->base);
	if (settings)
		options = *settings;
	options.vendor = "Example";
	options.product = "test";
	options.version = "1.2";
	options.url = "https://example.org";
	options.is_operator = is_operator;
	options.userdata = f;
	ck_assert_int_eq(varlink_server_new(f->base, &options, &f->server), 0);
	ck_assert_int_eq(varlink_server_add_interface(f->server, &test_interface), 0);
}

static void fixture_deinit(struct fixture *f)
{
	varlink_server_free(f->server);
	ck_assert_ptr_null(f->kept);
	json_decref(f->order);
	event_base_free(f->base);
}

/* A client that can send anything. */
struct peer {
	struct fixture *f;
	int fd;
	struct event *event;
	struct varlink_decoder decoder;
	bool eof;
};

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

/* reading: what comes is read as the loop turns. */
static void peer_init(struct peer *peer, struct fixture *f, int fd, bool reading)
{
	*peer = (struct peer){.f = f, .fd = fd, .decoder.max = 64 << 20};
	peer->event = event_new(f->base, fd, EV_READ | EV_PERSIST, peer_read, peer);
	if (reading)
		event_add(peer->event, NULL);
}

static void peer_connect(struct peer *peer, struct fixture *f)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(varlink_server_add_connection(f->server, fds[0]), 0);
	peer_init(peer, f, fds[1], true);
}

static void peer_close(struct peer *peer)
{
	event_free(peer->event);
	peer->fd = safe_close(peer->fd);
	varlink_decoder_deinit(&peer->decoder);
}

static void peer_send_bytes(struct peer *peer, const char *data, size_t n)
{
	ck_assert_int_eq(send(peer->fd, data, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* A request in single quotes, with its NUL. */
static void peer_send(struct peer *peer, const char *request)
{
	json_t *value = json_of(request);
	_cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

	peer_send_bytes(peer, text, strlen(text) + 1);
	json_decref(value);
}

static json_t *peer_receive(struct peer *peer)
{
	json_t *message = NULL;

	turn_until(peer->f->base, peer->eof || varlink_decoder_next(&peer->decoder, &message) != 0);
	ck_assert_msg(message != NULL, "cut off");
	return message;
}

/* Sends, and asserts the answer. */
static void expect(struct peer *peer, const char *request, const char *answer)
{
	peer_send(peer, request);
	assert_json(peer_receive(peer), answer);
}

static void expect_cut_off(struct peer *peer)
{
	json_t *message;

	turn_until(peer->f->base, peer->eof);
	ck_assert_int_eq(varlink_decoder_next(&peer->decoder, &message), 0);
}

static struct varlink_server_counters counters(struct fixture *f)
{
	struct varlink_server_counters counters;

	varlink_server_get_counters(f->server, &counters);
	return counters;
}

#define SAY(text)    "{'method':'org.example.test.Echo','parameters':{'text':'" text "'}}"
#define SAID(text)   "{'parameters':{'text':'" text "'}}"
#define METHOD(name) "{'method':'org.example.test." name "'}"
#define PARAMETER(name)                                                                                      \
	"{'error':'org.varlink.service.InvalidParameter','parameters':{'parameter':'" name "'}}"

START_TEST(test_call)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	expect(&peer, SAY("hello"), SAID("hello"));
	expect(&peer, METHOD("Secret"), "{'parameters':{}}");
	/* null stands for absent. */
	expect(&peer,
	       "{'method':'org.example.test.Echo','parameters':{'text':'x','n':null},'more':null,'oneway':false}",
	       SAID("x"));
	expect(&peer, "{'method':'org.example.test.Secret','parameters':null}", "{'parameters':{}}");
	ck_assert_uint_eq(counters(&f).calls, 4);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_standard_errors)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	expect(&peer, "{'method':'org.example.other.Echo'}",
	       "{'error':'org.varlink.service.InterfaceNotFound','parameters':{'interface':'org.example.other'}}");
	expect(&peer, "{'method':'Echo'}",
	       "{'error':'org.varlink.service.InterfaceNotFound','parameters':{'interface':'Echo'}}");
	expect(&peer, METHOD("Nope"),
	       "{'error':'org.varlink.service.MethodNotFound','parameters':{'method':'org.example.test.Nope'}}");
	expect(&peer, METHOD("NotYet"),
	       "{'error':'org.varlink.service.MethodNotImplemented',"
	       "'parameters':{'method':'org.example.test.NotYet'}}");
	expect(&peer, METHOD("Echo"), PARAMETER("text"));
	expect(&peer, "{'method':'org.example.test.Echo','parameters':{'text':1}}", PARAMETER("text"));
	expect(&peer, "{'method':'org.example.test.Echo','parameters':{'text':'','n':'1'}}", PARAMETER("n"));
	expect(&peer, "{'method':'org.example.test.Echo','parameters':{'text':'','x':1}}", PARAMETER("x"));
	expect(&peer, "{'method':'org.example.test.Secret','upgrade':true}", PARAMETER("upgrade"));
	expect(&peer, METHOD("Stream"), "{'error':'org.varlink.service.ExpectedMore','parameters':{}}");
	expect(&peer, METHOD("Break"),
	       "{'error':'org.example.test.Failed','parameters':{'reason':'Input/output error'}}");
	expect(&peer, METHOD("Forget"),
	       "{'error':'org.example.test.Failed','parameters':{'reason':'Operation canceled'}}");
	/* None of this was the client's end. */
	expect(&peer, SAY("still here"), SAID("still here"));
	ck_assert_uint_eq(counters(&f).cut_off, 0);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_introspection)
{
	struct fixture f;
	struct peer peer;
	json_t *answer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	expect(&peer, "{'method':'org.varlink.service.GetInfo'}",
	       "{'parameters':{'vendor':'Example','product':'test','version':'1.2','url':'https://example.org',"
	       "'interfaces':['org.varlink.service','org.example.test']}}");
	peer_send(&peer, "{'method':'org.varlink.service.GetInterfaceDescription',"
			 "'parameters':{'interface':'org.example.test'}}");
	answer = peer_receive(&peer);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(answer, "parameters"), "description")),
		description);
	json_decref(answer);
	peer_send(&peer, "{'method':'org.varlink.service.GetInterfaceDescription',"
			 "'parameters':{'interface':'org.varlink.service'}}");
	answer = peer_receive(&peer);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(answer, "parameters"), "description")),
		interface_varlink_service);
	json_decref(answer);
	expect(&peer,
	       "{'method':'org.varlink.service.GetInterfaceDescription','parameters':{'interface':'a.b'}}",
	       "{'error':'org.varlink.service.InterfaceNotFound','parameters':{'interface':'a.b'}}");
	expect(&peer, "{'method':'org.varlink.service.GetInterfaceDescription'}", PARAMETER("interface"));
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_permission)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	f.operators = false;
	peer_connect(&peer, &f);
	expect(&peer, METHOD("Secret"), "{'error':'org.varlink.service.PermissionDenied','parameters':{}}");
	/* Not even whether the parameters are right is told. */
	expect(&peer, "{'method':'org.example.test.Secret','parameters':{'x':1}}",
	       "{'error':'org.varlink.service.PermissionDenied','parameters':{}}");
	expect(&peer, SAY("public"), SAID("public"));
	f.operators = true;
	expect(&peer, METHOD("Secret"), "{'parameters':{}}");
	ck_assert_uint_eq(counters(&f).denied, 2);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* Many requests in one piece, one of which is answered late: all in order, none before its time. */
START_TEST(test_order)
{
	struct fixture f;
	struct peer peer;
	char text[8];

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, SAY("first"));
	peer_send(&peer, METHOD("Later"));
	for (int i = 0; i < 50; i++) {
		_cleanup_free_ char *request = NULL;

		ck_assert_int_gt(asprintf(&request, SAY("%d"), i), 0);
		peer_send(&peer, request);
	}
	assert_json(peer_receive(&peer), SAID("first"));
	turn_until(f.base, f.kept != NULL);
	ck_assert_uint_eq(json_array_size(f.order), 1);
	ck_assert_int_eq(varlink_call_reply(f.kept, json_pack("{si}", "number", 7)), 0);
	ck_assert(varlink_call_is_closed(f.kept));
	ck_assert_int_eq(varlink_call_reply(f.kept, NULL), -ENOTCONN);
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer), "{'parameters':{'number':7}}");
	for (int i = 0; i < 50; i++) {
		json_t *answer = peer_receive(&peer);

		snprintf(text, sizeof(text), "%d", i);
		ck_assert_str_eq(
			json_string_value(json_object_get(json_object_get(answer, "parameters"), "text")),
			text);
		json_decref(answer);
	}
	ck_assert_uint_eq(f.n_closed, 0);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

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

START_TEST(test_oneway)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Echo','parameters':{'text':'silent'},'oneway':true}");
	peer_send(&peer, "{'method':'org.example.test.Nope','oneway':true}");
	expect(&peer, SAY("loud"), SAID("loud"));
	assert_json(json_incref(f.order), "['silent','loud']");
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* Whoever asks without wanting an answer, and goes at once, still gets it all done. */
START_TEST(test_oneway_and_gone)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	for (int i = 0; i < 30; i++)
		peer_send(&peer,
			  "{'method':'org.example.test.Echo','parameters':{'text':'x'},'oneway':true}");
	peer_close(&peer);
	turn_until(f.base, counters(&f).clients == 0);
	ck_assert_uint_eq(json_array_size(f.order), 30);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_stream)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	ck_assert(varlink_call_wants_more(f.kept));
	ck_assert_uint_eq(varlink_call_peer_uid(f.kept), getuid());
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, json_pack("{si}", "number", 1)), 0);
	ck_assert_int_eq(varlink_call_reply_continues_text(f.kept, "{\"number\":2}", 12), 0);
	assert_json(peer_receive(&peer), "{'parameters':{'number':1},'continues':true}");
	assert_json(peer_receive(&peer), "{'parameters':{'number':2},'continues':true}");
	ck_assert_int_eq(varlink_call_reply(f.kept, json_pack("{si}", "number", 3)), 0);
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer), "{'parameters':{'number':3}}");

	/* A client that goes is told of, once. */
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	peer_close(&peer);
	turn_until(f.base, f.n_closed == 1);
	ck_assert_uint_eq(counters(&f).clients, 0);
	fixture_deinit(&f);
	ck_assert_uint_eq(f.n_closed, 1);
}
END_TEST

START_TEST(test_no_stream_without_more)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, NULL), -EINVAL);
	ck_assert_int_eq(varlink_call_reply_continues_text(f.kept, "{}", 2), -EINVAL);
	/* Nobody will ever answer: the client is told so. */
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer),
		    "{'error':'org.example.test.Failed','parameters':{'reason':'Operation canceled'}}");
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* A client that says it will send no more still gets what it is owed. */
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

/* Sends this many bytes, however slowly the server takes them, unless cut off. */
static void send_much(struct peer *peer, size_t n)
{
	_cleanup_free_ char *much = malloc(n);

	memset(much, ' ', n);
	for (size_t i = 0; i < n && !peer->eof;) {
		ssize_t sent = send(peer->fd, much + i, n - i, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			i += (size_t)sent;
		else
			event_base_loop(peer->f->base, EVLOOP_NONBLOCK);
	}
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

/* Whoever asks on and on without reading is not served beyond a bound, and cut off after a while. */
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

/* Much more than a socket holds arrives whole, and what was asked behind it too. */
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

/* Listens on a name that the kernel chooses (abstract: it leaves nothing behind). */
static socklen_t listen_somewhere(struct fixture *f, struct sockaddr_un *ret_name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(*ret_name);

	*ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)ret_name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret_name, &size), 0);
	ck_assert_int_eq(listen(fd, 100), 0);
	ck_assert_int_eq(varlink_server_listen(f->server, fd), 0);
	return size;
}

static int connect_to(const struct sockaddr_un *name, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)name, size), 0);
	return fd;
}

static void fill_up(bool operators, size_t max, size_t expected)
{
	struct varlink_server_options options = {.max_clients = max};
	struct sockaddr_un name;
	struct peer peers[70];
	struct fixture f;
	socklen_t size;

	fixture_init(&f, &options);
	f.operators = operators;
	size = listen_somewhere(&f, &name);
	for (size_t i = 0; i < expected + 2; i++)
		peer_init(&peers[i], &f, connect_to(&name, size), true);
	expect_cut_off(&peers[expected]);
	expect_cut_off(&peers[expected + 1]);
	ck_assert_uint_eq(counters(&f).clients, expected);
	ck_assert_uint_eq(counters(&f).refused, 2);
	/* One that goes makes room for another. */
	peer_close(&peers[0]);
	peer_close(&peers[expected]);
	turn_until(f.base, counters(&f).clients == expected - 1);
	peer_init(&peers[0], &f, connect_to(&name, size), true);
	expect(&peers[0], SAY("room"), SAID("room"));
	expect(&peers[expected - 1], SAY("last"), SAID("last"));
	for (size_t i = 0; i < expected + 2; i++)
		if (i != expected)
			peer_close(&peers[i]);
	fixture_deinit(&f);
}

START_TEST(test_too_many_clients)
{
	fill_up(true, 0, 64);
	/* The last quarter is for operators. */
	fill_up(false, 0, 48);
	fill_up(false, 8, 6);
}
END_TEST

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	++*(int *)userdata;
}

/* Without a descriptor left a client waits, the loop rests, and the client is served when there is one. */
START_TEST(test_no_descriptors)
{
	struct timeval tick = {.tv_usec = 20000};
	struct rlimit limit, none;
	struct sockaddr_un name;
	struct fixture f;
	struct peer peer;
	int fd, turns = 0, ticks = 0;
	struct event *timer;
	socklen_t size;

	fixture_init(&f, NULL);
	size = listen_somewhere(&f, &name);
	fd = connect_to(&name, size);
	timer = event_new(f.base, -1, EV_PERSIST, on_tick, &ticks);
	evtimer_add(timer, &tick);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (ticks < 15) {
		ck_assert_int_eq(event_base_loop(f.base, EVLOOP_ONCE), 0);
		turns++;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_ge(counters(&f).accept_errors, 2);
	/* 300 ms: the ticks, and a try each 100 ms. */
	ck_assert_int_le(turns, 30);
	peer_init(&peer, &f, fd, true);
	expect(&peer, SAY("served"), SAID("served"));
	event_free(timer);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_server_goes_first)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	varlink_server_free(TAKE_PTR(f.server));
	ck_assert_uint_eq(f.n_closed, 1);
	expect_cut_off(&peer);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_kept_call_outlives_all)
{
	struct varlink_call *call;
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	call = varlink_call_ref(f.kept);
	peer_close(&peer);
	turn_until(f.base, f.n_closed == 1);
	fixture_deinit(&f);
	ck_assert_int_eq(varlink_call_reply(call, json_pack("{si}", "number", 1)), -ENOTCONN);
	ck_assert_uint_eq(varlink_call_pending(call), 0);
	varlink_call_unref(call);
}
END_TEST

START_TEST(test_wrong_interfaces)
{
	struct varlink_interface unreadable = {.name = "org.example.a", .description = "nonsense"};
	struct varlink_interface undescribed = test_interface;
	struct fixture f;

	fixture_init(&f, NULL);
	undescribed.name = "org.example.b";
	undescribed.description = "interface org.example.b\nmethod Other() -> ()\n";
	ck_assert_int_eq(varlink_server_add_interface(f.server, &test_interface), -EEXIST);
	ck_assert_int_eq(varlink_server_add_interface(f.server, &unreadable), -EINVAL);
	ck_assert_int_eq(varlink_server_add_interface(f.server, &undescribed), -EINVAL);
	fixture_deinit(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_call,
		test_standard_errors,
		test_introspection,
		test_permission,
		test_order,
		test_byte_by_byte,
		test_oneway,
		test_oneway_and_gone,
		test_stream,
		test_no_stream_without_more,
		test_half_closed,
		test_garbage,
		test_too_large,
		test_silent_within_message,
		test_does_not_read,
		test_asks_and_does_not_read,
		test_large_answers,
		test_too_many_clients,
		test_no_descriptors,
		test_server_goes_first,
		test_kept_call_outlives_all,
		test_wrong_interfaces,
	};

	return run_suite("varlink_server", tests, ARRAY_SIZE(tests));
}
