/* What a VPN may say on its stats socket, and what it may not. */

#include "common/cleanup.h"
#include "daemon/device/stats_reply.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static int read_reply(const char *text, uint32_t max_flows, struct extraction *extraction)
{
	json_t *parameters = json_loads(text, 0, NULL);
	int r;

	ck_assert_ptr_nonnull(parameters);
	r = stats_reply_read(parameters, max_flows, extraction);
	json_decref(parameters);
	return r;
}

START_TEST(whole)
{
	struct extraction extraction = {};
	char text[ENDPOINT_TEXT_MAX];

	ck_assert_int_eq(read_reply("{\"connections\":[{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":"
				    "\"[fd7a::2]:42912\",\"txPkts\":1,\"txBytes\":9223372036854775807,"
				    "\"rxPkts\":null},{\"proto\":0,\"src\":\"\",\"dst\":\"192.0.2.1:5\","
				    "\"rxBytes\":3}],\"more\":1}",
				    10, &extraction),
			 0);
	ck_assert_uint_eq(extraction.flows.n, 2);
	endpoint_format(&extraction.flows.items[0].connection.dst, text);
	ck_assert_str_eq(text, "[fd7a::2]:42912");
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 6);
	ck_assert_uint_eq(extraction.flows.items[0].counts.tx_bytes, INT64_MAX);
	ck_assert_uint_eq(extraction.flows.items[0].counts.rx_packets, 0);
	ck_assert_uint_eq(extraction.flows.items[1].connection.src.address.family, ADDRESS_NONE);
	ck_assert_uint_eq(extraction.flows.items[1].counts.rx_bytes, 3);
	extraction_deinit(&extraction);
}
END_TEST

/* Beyond the bound it is overflow; an entry of nothing takes no place. */
START_TEST(bounded)
{
	struct extraction extraction = {};
	const char *text = "{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\"},"
			   "{\"proto\":6,\"src\":\"1.1.1.1:1\",\"dst\":\"\",\"txPkts\":1,\"txBytes\":60},"
			   "{\"proto\":6,\"src\":\"1.1.1.1:2\",\"dst\":\"\",\"txPkts\":2,\"txBytes\":80}]}";

	ck_assert_int_eq(read_reply(text, 3, &extraction), 0);
	ck_assert_uint_eq(extraction.flows.n, 2);
	ck_assert_int_eq(read_reply(text, 3, &extraction), 0);
	ck_assert_uint_eq(extraction.flows.n, 3);
	ck_assert_uint_eq(extraction.overflow.tx_packets, 2);
	ck_assert_uint_eq(extraction.overflow.tx_bytes, 80);
	ck_assert_uint_eq(extraction.totals.tx_packets, 6);
	ck_assert_uint_eq(extraction.totals.tx_bytes, 280);
	extraction_deinit(&extraction);
}
END_TEST

START_TEST(nonsense)
{
	static const char *const wrong[] = {
		"{}",
		"{\"connections\":{}}",
		"{\"connections\":[1]}",
		"{\"connections\":[{}]}",
		"{\"connections\":[{\"proto\":256,\"src\":\"\",\"dst\":\"\"}]}",
		"{\"connections\":[{\"proto\":-1,\"src\":\"\",\"dst\":\"\"}]}",
		"{\"connections\":[{\"proto\":6.0,\"src\":\"\",\"dst\":\"\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"100.64.0.1\",\"dst\":\"\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"1.2.3.4:65536\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":-1}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxBytes\":\"1\"}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct extraction extraction = {};

		ck_assert_msg(read_reply(wrong[i], 9, &extraction) == -EBADMSG, "%s", wrong[i]);
		extraction_deinit(&extraction);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats_reply");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, whole);
	tcase_add_test(tcase, bounded);
	tcase_add_test(tcase, nonsense);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
