/* SPDX-License-Identifier: BSD-3-Clause */
/* Node identities: what is accepted, what is refused and how it is named, and how they are found. */

#include "daemon/record/nodes.h"
#include "common/buffer.h"
#include "common/config/error.h"

#include "tests/unit/daemon/record/support.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct nodes *make(const char *text)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);
	struct nodes *nodes = NULL;

	ck_assert_ptr_nonnull(json);
	ck_assert_msg(nodes_new_json(json, &nodes, &refusal) == 0, "%s refused: %s", text, refusal.value);
	json_decref(json);
	return nodes;
}

static void refused(const char *text, const char *expected)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);
	struct nodes *nodes = (struct nodes *)0x1;

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), -EINVAL);
	ck_assert_ptr_eq(nodes, (struct nodes *)0x1);
	ck_assert_str_eq(refusal.value, expected);
	ck_assert_ptr_nonnull(refusal.reason);
	free(refusal.value);
	json_decref(json);
}

static const struct node *node_at(const struct nodes *nodes, size_t i)
{
	struct nodes_place place = {};
	const struct node *node = nodes_next(nodes, &place);

	while (i-- > 0)
		node = nodes_next(nodes, &place);
	return node;
}

START_TEST(members_in_the_order_of_the_contract)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = make(
		"{\"nodes\":[{\"user\":\"ada@example.com\",\"os\":\"linux\",\"addresses\":[\"100.64.0.1\","
		"\"fd7a:115c:a1e0:0::1\",\"100.64.0.1/32\"],\"name\":\"a.example..\",\"nodeId\":\"n1\"}]}");

	ck_assert_uint_eq(nodes_count(nodes), 1);
	ck_assert_str_eq(node_at(nodes, 0)->json,
			 "{\"nodeId\":\"n1\",\"name\":\"a.example\",\"addresses\":[\"100.64.0.1\","
			 "\"fd7a:115c:a1e0::1\"],\"os\":\"linux\",\"user\":\"ada@example.com\"}");
	ck_assert_uint_eq(node_at(nodes, 0)->json_length, strlen(node_at(nodes, 0)->json));
}
END_TEST

START_TEST(tags_are_sorted_and_replace_the_user)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = make(
		"{\"nodes\":[{\"nodeId\":\"n1\",\"user\":\"ada\",\"tags\":[\"tag:b\",\"tag:a\",\"tag:b\"]}]}");

	ck_assert_str_eq(node_at(nodes, 0)->json, "{\"nodeId\":\"n1\",\"tags\":[\"tag:a\",\"tag:b\"]}");
	ck_assert_ptr_null(node_at(nodes, 0)->user);
}
END_TEST

START_TEST(empty_members_are_left_out)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = make(
		"{\"nodes\":[{\"nodeId\":\"n1\",\"name\":\"\",\"os\":null,\"addresses\":[],\"tags\":[],"
		"\"user\":\"ada\"},{\"nodeId\":\"n2\",\"name\":\"..\",\"addresses\":null,\"tags\":null}]}");

	ck_assert_str_eq(node_at(nodes, 0)->json, "{\"nodeId\":\"n1\",\"user\":\"ada\"}");
	ck_assert_str_eq(node_at(nodes, 1)->json, "{\"nodeId\":\"n2\"}");
}
END_TEST

START_TEST(texts_are_escaped)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes =
		make("{\"nodes\":[{\"nodeId\":\"n\\\"1\\\\\",\"name\":\"\xc3\xa4\"}]}");

	ck_assert_str_eq(node_at(nodes, 0)->json, "{\"nodeId\":\"n\\\"1\\\\\",\"name\":\"\xc3\xa4\"}");
}
END_TEST

START_TEST(found_by_address_and_id)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes =
		make("{\"nodes\":[{\"nodeId\":\"z\",\"addresses\":[\"100.64.0.1\",\"fd00::1\"]},"
		     "{\"nodeId\":\"a\",\"addresses\":[\"100.64.0.2\"]},{\"nodeId\":\"m\"}]}");
	struct address address = test_address("fd00::1");

	ck_assert_str_eq(nodes_find_address(nodes, &address)->id, "z");
	address = test_address("100.64.0.2");
	ck_assert_str_eq(nodes_find_address(nodes, &address)->id, "a");
	address = test_address("100.64.0.3");
	ck_assert_ptr_null(nodes_find_address(nodes, &address));
	address = test_address("::ffff:100.64.0.2");
	ck_assert_ptr_null(nodes_find_address(nodes, &address));
	address = test_address("");
	ck_assert_ptr_null(nodes_find_address(nodes, &address));
	ck_assert_str_eq(nodes_find_id(nodes, "m")->id, "m");
	ck_assert_ptr_null(nodes_find_id(nodes, "b"));
	ck_assert_ptr_null(nodes_find_id(nodes, NULL));
	/* sorted by id */
	ck_assert_str_eq(node_at(nodes, 0)->id, "a");
	ck_assert_str_eq(node_at(nodes, 2)->id, "z");
	ck_assert_uint_eq(nodes_number(nodes, node_at(nodes, 2)), 2);
}
END_TEST

START_TEST(no_nodes)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = make("{\"nodes\":[]}");
	struct address address = test_address("100.64.0.1");

	ck_assert_uint_eq(nodes_count(nodes), 0);
	ck_assert_ptr_null(nodes_find_address(nodes, &address));
	ck_assert_ptr_null(nodes_find_id(nodes, "a"));
	ck_assert_uint_eq(nodes_count(NULL), 0);
	ck_assert_ptr_null(nodes_find_address(NULL, &address));
	ck_assert_ptr_null(nodes_find_id(NULL, "a"));
}
END_TEST

static void check_reason(const char *text, const char *reason)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);
	struct nodes *nodes;

	ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), -EINVAL);
	ck_assert_str_eq(refusal.reason, reason);
	free(refusal.value);
	json_decref(json);
}

/* An operator must see what is wrong, above all with a text that looks right. */
START_TEST(reasons)
{
	static const char *const marks[] = {"\\u202e", "\\u2066", "\\u200f", "\\u061c",
					    "\\u0085", "\\u2028", "\\u001b", "\\u007f"};
	static const char *const before[] = {"\"nodeId\":\"", "\"nodeId\":\"a\",\"name\":\"",
					     "\"nodeId\":\"a\",\"os\":\"", "\"nodeId\":\"a\",\"user\":\"",
					     "\"nodeId\":\"a\",\"tags\":[\"t\",\""};
	static const char *const after[] = {"\"", "\"", "\"", "\"", "\"]"};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		char text[128];

		for (size_t j = 0; j < ARRAY_SIZE(before); j++) {
			snprintf(text, sizeof(text), "{\"nodes\":[{%sa%sb%s}]}", before[j], marks[i],
				 after[j]);
			check_reason(text, "has control characters or marks of direction");
		}
	}
	check_reason("{\"nodes\":[{\"name\":\"a\"}]}", "has no nodeId");
	check_reason("{\"nodes\":[{\"nodeId\":\"a\",\"nam\":\"b\"}]}", "is not a member of a node");
	check_reason("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"1.2.3\"]}]}", "is not an address");
	check_reason("{\"nodes\":[{\"nodeId\":\"a\"},{\"nodeId\":\"a\"}]}", "is the nodeId of two nodes");
	check_reason(
		"{\"nodes\":[{\"nodeId\":\"b\",\"addresses\":[\"1.2.3.4\",\"1.2.3.5\"]},{\"nodeId\":\"a\","
		"\"addresses\":[\"1.2.3.5\"]}]}",
		"is an address of two nodes, a and b");
	/* Other scripts are no reason. */
	nodes_unref(make(
		"{\"nodes\":[{\"nodeId\":\"\\u05d0\\u05d1 \\u00fc \\u4e2d\",\"name\":\"\\ud83d\\ude00\"}]}"));
}
END_TEST

START_TEST(what_is_refused)
{
	static const char *const shape = "nodes";

	refused("[]", shape);
	refused("{}", shape);
	refused("{\"nodes\":{}}", shape);
	refused("{\"nodes\":[],\"more\":1}", shape);
	refused("{\"nodes\":[7]}", "7");
	refused("{\"nodes\":[{\"name\":\"a\"}]}", "{\"name\":\"a\"}");
	refused("{\"nodes\":[{\"nodeId\":\"\"}]}", "{\"nodeId\":\"\"}");
	refused("{\"nodes\":[{\"nodeId\":null}]}", "{\"nodeId\":null}");
	refused("{\"nodes\":[{\"nodeId\":5}]}", "5");
	refused("{\"nodes\":[{\"nodeId\":\"a\\nb\"}]}", "a\nb");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"nam\":\"b\"}]}", "nam");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":\"1.2.3.4\"}]}", "1.2.3.4");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"1.2.3\"]}]}", "1.2.3");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"1.2.3.0/24\"]}]}", "1.2.3.0/24");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"\"]}]}", "");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[1]}]}", "1");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"tags\":[\"\"]}]}", "");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"tags\":[[]]}]}", "[]");
	refused("{\"nodes\":[{\"nodeId\":\"a\"},{\"nodeId\":\"b\"},{\"nodeId\":\"a\"}]}", "a");
	refused("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"1.2.3.4\"]},"
		"{\"nodeId\":\"b\",\"addresses\":[\"1.2.3.4\"]}]}",
		"1.2.3.4");
}
END_TEST

START_TEST(what_is_too_large)
{
	char text[2 * NODE_TEXT_MAX], expected[NODE_TEXT_MAX + 1];
	json_t *list = json_array();

	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"nodes\":[{\"nodeId\":\"", 21);
	strcpy(text + 21 + NODE_TEXT_MAX + 1, "\"}]}");
	memset(expected, 'x', NODE_TEXT_MAX);
	expected[NODE_TEXT_MAX] = '\0';
	refused(text, expected);
	/* One less is fine. */
	strcpy(text + 21 + NODE_TEXT_MAX, "\"}]}");
	nodes_unref(make(text));

	for (int i = 0; i <= NODE_TAGS_MAX; i++)
		json_array_append_new(list, json_sprintf("%d", i));
	for (int i = 0; i < 2; i++) {
		struct node_refusal refusal = {};
		json_t *json = json_pack("{s:[{s:s, s:O}]}", "nodes", "nodeId", "a", "tags", list);
		struct nodes *nodes = NULL;

		ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), i == 0 ? -EINVAL : 0);
		free(refusal.value);
		nodes_unref(nodes);
		json_decref(json);
		json_array_remove(list, 0);
	}
	json_decref(list);
}
END_TEST

static char *write_file(const char *content)
{
	char path[SCRATCH_MAX];
	int fd = scratch_make_file(path);

	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
	return strdup(path);
}

static void load(const char *content, int result, const char *reason)
{
	_cleanup_free_ char *path = write_file(content), *found = NULL, *expected = NULL;
	_cleanup_(nodes_unrefp) struct nodes *nodes = NULL;
	struct config_error error = {};
	int r = nodes_load(path, &nodes, &error);

	ck_assert_int_eq(r, result);
	ck_assert(!!nodes == (r == 0));
	if (r < 0) {
		found = config_error_text(&error);
		ck_assert_int_ge(asprintf(&expected, "%s%s", path, reason), 0);
		ck_assert_msg(strncmp(found, expected, strlen(expected)) == 0, "%s, not %s", found, expected);
	}
	config_error_deinit(&error);
}

START_TEST(files)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = NULL;
	struct config_error error = {};

	load("{\"nodes\":[{\"nodeId\":\"a\"}]}\n", 0, NULL);
	load("{\"nodes\":[\n{\"nodeId\":\"a\"},\n}]}", -EINVAL, ":3: ");
	load("{\"nodes\":[],\n\"nodes\":[]}", -EINVAL, ":2: ");
	load("", -EINVAL, ":");
	load("{\"nodes\":[{\"nodeId\":\"a\\u202eb\"}]}", -EINVAL,
	     ": not a valid node: \"a?b\" has control characters or marks of direction");
	load("{\"nodes\":[{\"nodeId\":\"a\",\"os\":9}]}", -EINVAL, ": not a valid node: \"9\" is not a text");
	ck_assert_int_eq(nodes_load("/nonexistent/nodes", &nodes, &error), -ENOENT);
	ck_assert_str_eq(error.file, "/nonexistent/nodes");
	ck_assert_uint_eq(error.line, 0);
	ck_assert_str_eq(error.reason, "No such file or directory");
	config_error_deinit(&error);
}
END_TEST

/* Refused before they are made, each of which would take some two hundred bytes; as texts they are none. */
START_TEST(files_of_what_is_no_node)
{
	static const struct {
		const char *begin, *item, *end, *reason;
		size_t n;
	} given[] = {
		{"{\"nodes\":[{}", ",{}", "]}", ": has more than 100000 nodes", 100000},
		{"{\"nodes\":[0", ",0", "]}", ": has more values than any nodes can have", 6200000},
		{"{\"nodes\":[{\"nodeId\":\"\\\"", ",{", "\"}]}", ": not a valid node: ", 7000000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		_cleanup_buffer_ struct buffer text = {};

		buffer_append_text(&text, given[i].begin);
		for (size_t j = 0; j < given[i].n; j++)
			buffer_append_text(&text, given[i].item);
		buffer_append_text(&text, given[i].end);
		buffer_append_char(&text, '\0');
		ck_assert_int_eq(buffer_error(&text), 0);
		load(text.data, -EINVAL, given[i].reason);
	}
}
END_TEST

START_TEST(many_nodes)
{
	json_t *array = json_array(), *json = json_pack("{s:o}", "nodes", array);
	_cleanup_(nodes_unrefp) struct nodes *nodes = NULL;
	struct node_refusal refusal = {};

	for (int i = 0; i < 10000; i++) {
		char id[16], address[ADDRESS_TEXT_MAX];

		snprintf(id, sizeof(id), "n%d", i);
		snprintf(address, sizeof(address), "100.64.%d.%d", i / 256, i % 256);
		json_array_append_new(array, json_pack("{s:s, s:[s]}", "nodeId", id, "addresses", address));
	}
	ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), 0);
	json_decref(json);
	for (int i = 0; i < 12000; i++) {
		struct address address = address_ipv4((uint8_t[4]){100, 64, (uint8_t)(i / 256), (uint8_t)i});
		const struct node *node = nodes_find_address(nodes, &address);
		char id[16];

		snprintf(id, sizeof(id), "n%d", i);
		ck_assert(!!node == (i < 10000));
		if (node)
			ck_assert_str_eq(node->id, id);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nodes");
	TCase *cases = tcase_create("nodes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, members_in_the_order_of_the_contract);
	tcase_add_test(cases, tags_are_sorted_and_replace_the_user);
	tcase_add_test(cases, empty_members_are_left_out);
	tcase_add_test(cases, texts_are_escaped);
	tcase_add_test(cases, found_by_address_and_id);
	tcase_add_test(cases, no_nodes);
	tcase_add_test(cases, reasons);
	tcase_add_test(cases, what_is_refused);
	tcase_add_test(cases, what_is_too_large);
	tcase_add_test(cases, files);
	tcase_add_test(cases, files_of_what_is_no_node);
	tcase_add_test(cases, many_nodes);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
