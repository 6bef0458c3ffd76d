/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts for people and members for programs say the same of a peer. */

#include "daemon/logger/events.h"
#include "common/cleanup.h"
#include "common/time_text.h"
#include "daemon/device/device.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char text[EVENT_PEER_TEXT_MAX];

static void check_peer(const struct device_event *event, const char *name, const char *wanted_text,
		       const char *wanted)
{
	json_t *object = event_of_peer(event, name ? "n1" : NULL, name, text);
	_cleanup_free_ char *json = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	ck_assert_str_eq(text, wanted_text);
	ck_assert_str_eq(json, wanted);
}

static struct endpoint endpoint(const char *text_of)
{
	struct endpoint parsed;

	ck_assert_int_eq(endpoint_parse(text_of, &parsed), 0);
	return parsed;
}

START_TEST(of_a_wireguard_peer)
{
	static const uint8_t key[DEVICE_PEER_KEY_SIZE] = {0xff};
	struct device_event event = {
		.type = DEVICE_EVENT_PEER_MOVED,
		.id = "/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		.name = "/wAAAAAA",
		.public_key = key,
		.address = endpoint("100.64.0.2:0").address,
		.path = DEVICE_PATH_DIRECT,
		.endpoint = endpoint("[2001:db8::7]:51820"),
		.from_path = DEVICE_PATH_DIRECT,
		.from_endpoint = endpoint("192.0.2.7:51820"),
		.last_handshake = 1665692594 * NSEC_PER_SEC,
	};

	check_peer(&event, NULL, "peer 100.64.0.2 moved from 192.0.2.7:51820 to [2001:db8::7]:51820",
		   "{\"type\":\"peer-moved\",\"peer\":\"/wAAAAAA\","
		   "\"nodeId\":\"/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		   "\"publicKey\":\"/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		   "\"address\":\"100.64.0.2\",\"path\":\"direct\",\"endpoint\":\"[2001:db8::7]:51820\","
		   "\"fromPath\":\"direct\",\"fromEndpoint\":\"192.0.2.7:51820\","
		   "\"lastHandshake\":\"2022-10-13T20:23:14Z\"}");
	event.type = DEVICE_EVENT_PEER_SILENT;
	event.address = (struct address){};
	event.endpoint = (struct endpoint){};
	event.path = DEVICE_PATH_UNKNOWN;
	event.public_key = NULL;
	event.last_handshake = 0;
	check_peer(&event, NULL, "peer /wAAAAAA is silent",
		   "{\"type\":\"peer-silent\",\"peer\":\"/wAAAAAA\","
		   "\"nodeId\":\"/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}");
	/* The operator's name goes before the tunnel's own. */
	event.named = true;
	event.name = "laptop";
	check_peer(&event, NULL, "peer laptop is silent",
		   "{\"type\":\"peer-silent\",\"peer\":\"laptop\","
		   "\"nodeId\":\"/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}");
	check_peer(&event, "ann's \"laptop\"", "peer ann's \"laptop\" is silent",
		   "{\"type\":\"peer-silent\",\"peer\":\"ann's \\\"laptop\\\"\",\"nodeId\":\"n1\"}");
}
END_TEST

START_TEST(of_a_relayed_peer)
{
	struct device_event event = {
		.type = DEVICE_EVENT_PEER_MOVED,
		.id = "nABC",
		.name = "gate",
		.named = true,
		.address = endpoint("100.64.0.3:0").address,
		.path = DEVICE_PATH_DERP,
		.endpoint = endpoint("127.3.3.40:4"),
		.via = "fra",
		.from_path = DEVICE_PATH_RELAY,
		.from_endpoint = endpoint("192.0.2.9:7777"),
	};

	check_peer(
		&event, NULL, "peer gate moved from relay 192.0.2.9:7777 to DERP fra",
		"{\"type\":\"peer-moved\",\"peer\":\"gate\",\"nodeId\":\"nABC\",\"address\":\"100.64.0.3\","
		"\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\",\"via\":\"fra\",\"fromPath\":\"relay\","
		"\"fromEndpoint\":\"192.0.2.9:7777\"}");
	event.type = DEVICE_EVENT_PEER_ACTIVE;
	event.via = NULL;
	check_peer(
		&event, NULL, "peer gate is active at DERP 127.3.3.40:4",
		"{\"type\":\"peer-active\",\"peer\":\"gate\",\"nodeId\":\"nABC\",\"address\":\"100.64.0.3\","
		"\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\"}");
}
END_TEST

START_TEST(of_more_than_are_kept)
{
	check_peer(&(struct device_event){.type = DEVICE_EVENT_OMITTED, .n = 1}, NULL, "1 more peer event",
		   "{\"type\":\"peers-omitted\",\"events\":1}");
	check_peer(&(struct device_event){.type = DEVICE_EVENT_OMITTED, .n = 20}, NULL, "20 more peer events",
		   "{\"type\":\"peers-omitted\",\"events\":20}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, of_a_wireguard_peer);
	tcase_add_test(tcase, of_a_relayed_peer);
	tcase_add_test(tcase, of_more_than_are_kept);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
