/* SPDX-License-Identifier: BSD-3-Clause */
/* The model itself, on which the property tests rest, against the vectors. */

#include "tests/unit/daemon/device/support/model.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <check.h>
#include <stdlib.h>

static void check_file(const char *file, size_t at_least)
{
	struct vectors vectors;

	vectors_load(&vectors, file);
	ck_assert_uint_ge(vectors.n, at_least);
	for (size_t i = 0; i < vectors.n; i++) {
		const struct vector *vector = &vectors.items[i];
		struct connection connection = model_decode(vector->packet, vector->length);

		ck_assert_msg(connection_compare(&connection, &vector->connection) == 0,
			      "%s: proto %u, not %u", vector->name, connection.proto,
			      vector->connection.proto);
		ck_assert_uint_eq(vector->length, vector->bytes);
	}
	vectors_deinit(&vectors);
}

START_TEST(model_agrees_with_the_vectors)
{
	check_file("decode.json", 81);
}
END_TEST

START_TEST(model_agrees_with_the_extension_header_vectors)
{
	check_file("extra.json", 40);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("model");
	TCase *tcase = tcase_create("vectors");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, model_agrees_with_the_vectors);
	tcase_add_test(tcase, model_agrees_with_the_extension_header_vectors);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
