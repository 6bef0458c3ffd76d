/* SPDX-License-Identifier: BSD-3-Clause */
/* The server core on a real loop: answers and their order, standard errors, permission, introspection. */

#include "control/varlink/interfaces.h"
#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>

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
		test_description);
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

/* While a stream is under way, what wants no answer is run at once; what wants one waits for the stream's
 * end. */
START_TEST(test_oneway_beside_a_stream)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	peer_send(&peer, "{'method':'org.example.test.Echo','parameters':{'text':'a'},'oneway':true}");
	peer_send(&peer, "{'method':'org.example.test.Nope','oneway':true}");
	peer_send(&peer, "{'method':'org.example.test.Echo','parameters':{'text':'b'},'oneway':true}");
	peer_send(&peer, SAY("asked"));
	turn_until(f.base, json_array_size(f.order) == 2);
	assert_json(json_incref(f.order), "['a','b']");
	ck_assert(!varlink_call_is_closed(f.kept));
	ck_assert_int_eq(varlink_call_reply_continues(f.kept, json_pack("{si}", "number", 1)), 0);
	assert_json(peer_receive(&peer), "{'parameters':{'number':1},'continues':true}");
	ck_assert_uint_eq(json_array_size(f.order), 2);
	ck_assert_int_eq(varlink_call_reply(f.kept, json_pack("{si}", "number", 2)), 0);
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer), "{'parameters':{'number':2}}");
	assert_json(peer_receive(&peer), SAID("asked"));
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* A oneway request whose method keeps it goes on without the client, which keeps its stream. */
START_TEST(test_kept_oneway_beside_a_stream)
{
	struct varlink_call *stream;
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, "{'method':'org.example.test.Stream','more':true}");
	turn_until(f.base, f.kept != NULL);
	stream = TAKE_PTR(f.kept);
	varlink_call_on_closed(stream, NULL, NULL);
	peer_send(&peer, "{'method':'org.example.test.Later','oneway':true}");
	turn_until(f.base, f.n_kept == 2);
	/* Told at once that it has no client, and not that of the stream. */
	ck_assert_ptr_null(f.kept);
	ck_assert_uint_eq(f.n_closed, 1);
	ck_assert_int_eq(varlink_call_reply(stream, json_pack("{si}", "number", 1)), 0);
	varlink_call_unref(stream);
	assert_json(peer_receive(&peer), "{'parameters':{'number':1}}");
	expect(&peer, SAY("on"), SAID("on"));
	ck_assert_uint_eq(counters(&f).cut_off, 0);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

/* Who was an operator and no longer is loses the connection, and with it the stream. */
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

/* A client that goes while one of its requests waits behind a stream leaves nothing behind. */
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
		test_oneway_beside_a_stream,
		test_kept_oneway_beside_a_stream,
		test_no_operator_any_more,
		test_gone_with_a_request_waiting,
		test_no_stream_without_more,
		test_half_closed,
		test_wrong_interfaces,
	};

	return run_suite("varlink_server", tests, ARRAY_SIZE(tests));
}
