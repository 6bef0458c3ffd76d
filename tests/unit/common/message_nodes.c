/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has an address, by one message. */

#include "common/message_nodes.h"

#include "common/message.h"
#include "tests/unit/common/support.h"

#include <stdio.h>
#include <string.h>

#define MANY 20000

static const char whole[] =
	"{\"srcNode\":{\"nodeId\":\"n1\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\",\"fd00::1\"]},\"dstNodes\":["
	"{\"nodeId\":\"n2\",\"addresses\":[\"fd00::2\",\"100.64.0.2\",\"100.64.0.1\"]},"
	"{\"nodeId\":\"n3\",\"name\":\"late\",\"addresses\":[\"100.64.0.2\",\"100.64.0.3\",\"x\",\"\",7,null]},"
	"{\"nodeId\":\"n4\"},{\"addresses\":[\"100.64.0.4\"]},{\"name\":\"five\",\"addresses\":\"100.64.0.5\"},1,null,[]]}";

static const char *name_of(const struct message_nodes *nodes, const char *text)
{
	struct address address;
	const char *name;

	ck_assert_int_eq(address_parse(text, &address), 0);
	name = message_nodes_name(nodes, &address);
	return name ? name : "";
}

START_TEST(test_names)
{
	static const struct {
		const char *address, *name;
	} cases[] = {
		{"100.64.0.1", "gate"},
		{"fd00::1", "gate"},
		{"100.64.0.2", "n2"},
		{"fd00::2", "n2"},
		{"100.64.0.3", "late"},
		{"100.64.0.4", ""},
		{"100.64.0.5", ""},
		{"100.64.0.6", ""},
		{"1.1.1.1", ""},
		{"ff00::", ""},
		{"", ""},
	};
	struct message_nodes nodes = {};
	struct message message;

	ck_assert_str_eq(name_of(&nodes, "100.64.0.1"), "");
	ck_assert_int_eq(message_parse(whole, strlen(whole), &message), 0);
	ck_assert_int_eq(message_nodes_init(&nodes, &message), 0);
	ck_assert_uint_eq(nodes.n, 7);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_str_eq(name_of(&nodes, cases[i].address), cases[i].name);
	message_nodes_deinit(&nodes);
	ck_assert_str_eq(name_of(&nodes, "100.64.0.1"), "");
	message_deinit(&message);

	ck_assert_int_eq(message_parse("{\"text\":\"x\"}", 12, &message), 0);
	ck_assert_int_eq(message_nodes_init(&nodes, &message), 0);
	ck_assert_uint_eq(nodes.n, 0);
	message_deinit(&message);
}
END_TEST

/* Each of many is found, in any order of the message. */
START_TEST(test_many)
{
	_cleanup_free_ char *text = malloc(MANY * 80);
	struct message_nodes nodes;
	char *end;
	struct message message;

	end = stpcpy(text, "{\"dstNodes\":[");
	for (unsigned int i = 0; i < MANY; i++) {
		unsigned int n = i * 7919 % MANY;

		end += sprintf(end, "%s{\"nodeId\":\"n%u\",\"addresses\":[\"10.0.%u.%u\",\"fd00::%x\"]}",
			       i ? "," : "", n, n / 256, n % 256, n + 1);
	}
	end = stpcpy(end, "]}");
	ck_assert_int_eq(message_parse(text, (size_t)(end - text), &message), 0);

	ck_assert_int_eq(message_nodes_init(&nodes, &message), 0);
	ck_assert_uint_eq(nodes.n, 2 * MANY);
	for (unsigned int n = 0; n < MANY; n++) {
		char address[40], name[20];

		snprintf(name, sizeof(name), "n%u", n);
		snprintf(address, sizeof(address), "10.0.%u.%u", n / 256, n % 256);
		ck_assert_str_eq(name_of(&nodes, address), name);
		snprintf(address, sizeof(address), "fd00::%x", n + 1);
		ck_assert_str_eq(name_of(&nodes, address), name);
	}
	message_nodes_deinit(&nodes);
	message_deinit(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("message_nodes");
	TCase *test_case = tcase_create("message_nodes");
	SRunner *runner;
	int failed;

	tcase_add_test(test_case, test_names);
	tcase_add_test(test_case, test_many);
	suite_add_tcase(suite, test_case);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
