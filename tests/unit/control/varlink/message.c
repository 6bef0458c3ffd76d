/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests as bytes, and replies of every shape. */

#include "control/varlink/message.h"

#include "tests/unit/control/support.h"

#include <errno.h>

START_TEST(test_request)
{
	_cleanup_buffer_ struct buffer output = {};

	ck_assert_int_eq(varlink_encode_request(&output, "a.b.C", NULL, VARLINK_REQUEST_ONE), 0);
	ck_assert_int_eq(varlink_encode_request(&output, "a.b.D", json_of("{'x':1}"), VARLINK_REQUEST_MORE),
			 0);
	ck_assert_uint_eq(output.length, 19 + 52);
	ck_assert_mem_eq(
		output.data,
		"{\"method\":\"a.b.C\"}\0{\"method\":\"a.b.D\",\"parameters\":{\"x\":1},\"more\":true}",
		19 + 52);
}
END_TEST

static int parse(const char *text, json_t **ret_parameters, char **ret_error, bool *ret_continues)
{
	json_t *message = json_of(text);
	int r = varlink_parse_reply(message, ret_parameters, ret_error, ret_continues);

	json_decref(message);
	return r;
}

START_TEST(test_reply)
{
	json_t *parameters;
	bool continues;
	char *error;

	ck_assert_int_eq(parse("{}", &parameters, &error, &continues), 0);
	assert_json(parameters, "{}");
	ck_assert_ptr_null(error);
	ck_assert(!continues);

	ck_assert_int_eq(parse("{'parameters':{'a':1},'continues':true}", &parameters, &error, &continues),
			 0);
	assert_json(parameters, "{'a':1}");
	ck_assert_ptr_null(error);
	ck_assert(continues);

	ck_assert_int_eq(parse("{'error':'a.b.E','parameters':null}", &parameters, &error, NULL), 0);
	assert_json(parameters, "{}");
	ck_assert_str_eq(error, "a.b.E");
	free(error);

	ck_assert_int_eq(parse("{'error':1}", &parameters, &error, NULL), -EBADMSG);
	ck_assert_int_eq(parse("{'parameters':[]}", &parameters, &error, NULL), -EBADMSG);
	ck_assert_int_eq(parse("{'continues':'yes'}", &parameters, &error, NULL), -EBADMSG);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_request, test_reply};

	return run_suite("varlink_message", tests, ARRAY_SIZE(tests));
}
