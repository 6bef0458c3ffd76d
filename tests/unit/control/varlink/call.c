/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls on a real loop: answers and their order, standard errors, permission, streams. */

#include "control/varlink/call.h"

#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>

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

START_TEST(test_permission)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	f.operators = false;
	peer_connect(&peer, &f);
	expect(&peer, METHOD("Secret"), "{'error':'org.varlink.service.PermissionDenied','parameters':{}}");
	/* The answer does not even reveal whether the parameters are right. */
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

/* Oneway requests are still run for a client that goes at once. */
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

	/* The end of a client is reported once. */
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

/* A oneway request whose method keeps it continues without the client, which keeps its stream. */
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
	/* Nobody is left to answer: the client gets an error. */
	varlink_call_unref(TAKE_PTR(f.kept));
	assert_json(peer_receive(&peer),
		    "{'error':'org.example.test.Failed','parameters':{'reason':'Operation canceled'}}");
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_call,
		test_standard_errors,
		test_permission,
		test_order,
		test_oneway,
		test_oneway_and_gone,
		test_stream,
		test_oneway_beside_a_stream,
		test_kept_oneway_beside_a_stream,
		test_no_stream_without_more,
	};

	return run_suite("varlink_call", tests, ARRAY_SIZE(tests));
}
