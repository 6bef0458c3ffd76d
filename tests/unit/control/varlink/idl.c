/* SPDX-License-Identifier: BSD-3-Clause */
/* Interface descriptions: ours are valid, and values are checked against them member by member. */

#include "control/varlink/idl.h"

#include "common/cleanup.h"
#include "control/varlink/interfaces.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <string.h>

static const char example[] =
	"# Comment with method X(\n"
	"interface org.example.a-b\n"
	"type Kind (one, two, three)\n"
	"type Tree (name: string, children: ?[]Tree)\n"
	"method Nothing() -> ()\n"
	"method All(b: bool, i: int, f: float, s: string, o: object, # text (\n"
	"  k: Kind, e: (x, y), l: []int, m: [string]Kind, t: Tree, n: ?int, p: (q: ?[]?int)\n"
	") -> (r: Tree)\n"
	"error Bad (why: string)\n";

START_TEST(test_our_own)
{
	unsigned int line = 0;

	ck_assert_int_eq(varlink_idl_check(interface_control, "org.netlogd.control", &line), 0);
	ck_assert_int_eq(varlink_idl_check(interface_upload, "org.netlogd.upload", &line), 0);
	ck_assert_int_eq(varlink_idl_check(interface_device, "org.netlogd.device", &line), 0);
	ck_assert_int_eq(varlink_idl_check(interface_varlink_service, "org.varlink.service", &line), 0);
	ck_assert(varlink_idl_has_method(interface_control, "SetNodes"));
	ck_assert(varlink_idl_has_error(interface_control, "NotRunning"));
	ck_assert(!varlink_idl_has_method(interface_control, "NotRunning"));
	ck_assert(!varlink_idl_has_method(interface_control, "Set"));
}
END_TEST

/* Every member, method, type and error of a public interface has a comment above it. */
START_TEST(test_every_definition_is_explained)
{
	const char *const texts[] = {interface_control, interface_upload, interface_device};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *copy = strdup(texts[i]), *before = strdup("");
		char *rest = copy, *line;

		while ((line = strsep(&rest, "\n"))) {
			bool definition =
				strncmp(line, "type ", 5) == 0 || strncmp(line, "method ", 7) == 0 ||
				strncmp(line, "error ", 6) == 0 || strncmp(line, "interface ", 10) == 0;

			if (definition)
				ck_assert_msg(before[0] == '#', "%s", line);
			free(before);
			before = strdup(line);
		}
	}
}
END_TEST

START_TEST(test_check)
{
	static const struct {
		const char *text;
		unsigned int line;
	} wrong[] = {
		{"", 1},
		{"interface org.example.b\n", 1},
		{"interface org.example.ab\n", 1},
		{"interface org.example.a\nnonsense A ()\n", 2},
		{"interface org.example.a\ntype a (b: int)\n", 2},
		{"interface org.example.a\ntype A (b: integer)\n", 2},
		{"interface org.example.a\n\ntype A (b: B)\n", 3},
		{"interface org.example.a\ntype A (b: int\n", 3},
		{"interface org.example.a\ntype A (b: int,)\n", 2},
		{"interface org.example.a\ntype A int\n", 2},
		{"interface org.example.a\nmethod A () -> int\n", 2},
		{"interface org.example.a\nmethod A ()\n", 3},
		{"interface org.example.a\ntype A (b: int)\ntype A (c: int)", 3},
		{"interface org.example.a\ntype A (b: int)\nmethod A() -> ()", 3},
		{"interface org.example.a\nmethod A() -> ()\nmethod B() -> ()\nerror A ()", 4},
	};
	unsigned int line = 0;

	ck_assert_int_eq(varlink_idl_check(example, "org.example.a-b", &line), 0);
	ck_assert_int_eq(varlink_idl_check(example, "org.example.a", &line), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_msg(varlink_idl_check(wrong[i].text, "org.example.a", &line) == -EINVAL, "%s",
			      wrong[i].text);
		ck_assert_msg(line == wrong[i].line, "%s: line %u", wrong[i].text, line);
	}
}
END_TEST

/* Checks the parameters of All; with a member set to something else (NULL: removed). */
static int check_with(const char *member, const char *value, char *ret_wrong)
{
	json_t *parameters = json_of("{'b':true,'i':-1,'f':1,'s':'','o':{'x':[]},'k':'two','e':'y','l':[1,2],"
				     "'m':{'a':'one','b':'three'},'t':{'name':'r','children':[{'name':'c',"
				     "'children':[]}]},'p':{'q':[null,3]}}");
	int r;

	if (member && value)
		json_object_set_new(parameters, member, json_of(value));
	else if (member)
		json_object_del(parameters, member);
	r = varlink_idl_check_parameters(example, "All", parameters, ret_wrong);
	json_decref(parameters);
	return r;
}

START_TEST(test_values)
{
	static const struct {
		const char *member, *value;
	} good[] =
		{
			{NULL, NULL},	     {"n", "5"},  {"n", "null"},
			{"f", "1.5"},	     {"l", "[]"}, {"m", "{}"},
			{"p", "{'q':null}"}, {"p", "{}"}, {"i", "9223372036854775807"},
		},
	  bad[] = {
		  {"b", "1"},
		  {"b", NULL},
		  {"i", "1.5"},
		  {"i", "'1'"},
		  {"i", "null"},
		  {"f", "'x'"},
		  {"s", "1"},
		  {"o", "[]"},
		  {"k", "'four'"},
		  {"k", "1"},
		  {"e", "'z'"},
		  {"l", "[1,'2']"},
		  {"l", "{}"},
		  {"m", "{'a':'x'}"},
		  {"m", "[]"},
		  {"t", "{}"},
		  {"n", "'5'"},
		  {"p", "{'q':1}"},
		  {"p", "{'r':1}"},
		  {"unknown", "1"},
		  {"t", "{'name':'r','children':[{'name':'c','children':[{'name':1}]}]}"},
		  {"t", "{'name':'r','kids':[]}"},
	  };
	char wrong[VARLINK_IDL_NAME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_msg(check_with(good[i].member, good[i].value, wrong) == 0, "%s", good[i].value);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(check_with(bad[i].member, bad[i].value, wrong) == -EINVAL, "%s: %s",
			      bad[i].member, bad[i].value);
		ck_assert_str_eq(wrong, bad[i].member);
	}
}
END_TEST

START_TEST(test_nothing_expected)
{
	char wrong[VARLINK_IDL_NAME_MAX];
	json_t *empty = json_object(), *some = json_of("{'x':1}"), *array = json_array();

	ck_assert_int_eq(varlink_idl_check_parameters(example, "Nothing", empty, wrong), 0);
	ck_assert_int_eq(varlink_idl_check_reply(example, "Nothing", empty, wrong), 0);
	ck_assert_int_eq(varlink_idl_check_parameters(example, "Nothing", some, wrong), -EINVAL);
	ck_assert_str_eq(wrong, "x");
	ck_assert_int_eq(varlink_idl_check_parameters(example, "Nothing", array, wrong), -EINVAL);
	ck_assert_int_eq(varlink_idl_check_parameters(example, "Other", empty, wrong), -ENOENT);
	ck_assert_int_eq(varlink_idl_check_parameters(example, "Bad", empty, wrong), -ENOENT);
	json_decref(empty);
	json_decref(some);
	json_decref(array);
}
END_TEST

START_TEST(test_long_unknown_member)
{
	char wrong[VARLINK_IDL_NAME_MAX], key[80];
	json_t *parameters = json_object();

	/* 62 bytes, then characters of two: the cut must not fall into one. */
	memset(key, 'x', sizeof(key));
	memcpy(key + 62, "\xc3\xa4\xc3\xa4", 5);
	json_object_set_new(parameters, key, json_true());
	ck_assert_int_eq(varlink_idl_check_parameters(example, "Nothing", parameters, wrong), -EINVAL);
	ck_assert_uint_eq(strlen(wrong), 62);
	json_decref(parameters);
}
END_TEST

START_TEST(test_replies)
{
	char wrong[VARLINK_IDL_NAME_MAX];
	json_t *good = json_of("{'r':{'name':'x'}}"), *bad = json_of("{'r':{'name':'x'},'s':1}");

	ck_assert_int_eq(varlink_idl_check_reply(example, "All", good, wrong), 0);
	ck_assert_int_eq(varlink_idl_check_reply(example, "All", bad, wrong), -EINVAL);
	ck_assert_str_eq(wrong, "s");
	json_decref(good);
	json_decref(bad);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_our_own,	       test_every_definition_is_explained, test_check,	 test_values,
		test_nothing_expected, test_long_unknown_member,	   test_replies,
	};

	return run_suite("varlink_idl", tests, ARRAY_SIZE(tests));
}
