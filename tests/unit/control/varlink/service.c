/* SPDX-License-Identifier: BSD-3-Clause */
/* Introspection. */

#include "control/varlink/service.h"

#include "control/varlink/interfaces.h"
#include "tests/unit/control/varlink/server_fixture.h"

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

int main(void)
{
	const TTest *const tests[] = {test_introspection};

	return run_suite("varlink_service", tests, ARRAY_SIZE(tests));
}
