/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VPN may say on its stats socket, and what it may not. */

#include "daemon/device/stats_reply.h"
#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

/* Feeds a stream cut into pieces of this size. */
static int feed(const char *data, size_t n, size_t piece, uint32_t max_flows, struct extraction *extraction)
{
	_cleanup_stats_reply_ struct stats_reply reply = {.extraction = extraction, .max_flows = max_flows};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i += piece)
		r = stats_reply_feed(&reply, data + i, MIN(piece, n - i));
	return r;
}

/* As the parameters of a reply of one part. */
static int read_reply(const char *parameters, uint32_t max_flows, struct extraction *extraction)
{
	_cleanup_buffer_ struct buffer stream = {};

	buffer_printf(&stream, "{\"parameters\":%s}", parameters);
	return feed(stream.data, stream.length + 1, SIZE_MAX / 2, max_flows, extraction);
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
			 1);
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

START_TEST(details)
{
	/* As it is scanned, and, with an unknown member, as a tree. */
	static const char *const more[] = {"", ",\"x\":1"};
	const struct details expected = {
		.starts = UINT32_MAX, .ends = 2, .tx_flags = 27, .rx_flags = 255, .opener = OPENER_DST};

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		_cleanup_free_ char *text = NULL;
		struct extraction extraction = {};

		ck_assert_int_gt(
			asprintf(&text,
				 "{\"connections\":[{\"proto\":6,\"src\":\"1.1.1.1:1\",\"dst\":\"1.1.1.1:2\","
				 "\"txPkts\":1,\"init\":\"dst\",\"starts\":4294967295,\"ends\":2,"
				 "\"txFlags\":27,\"rxFlags\":255%s},"
				 "{\"proto\":6,\"src\":\"1.1.1.1:1\",\"dst\":\"1.1.1.1:3\",\"ends\":1%s},"
				 "{\"proto\":6,\"src\":\"1.1.1.1:1\",\"dst\":\"1.1.1.1:4\"%s}]}",
				 more[i], more[i], more[i]),
			0);
		ck_assert_int_eq(read_reply(text, 10, &extraction), 1);
		ck_assert_uint_eq(extraction.flows.n, 2);
		ck_assert_mem_eq(&extraction.flows.items[0].details, &expected, sizeof(expected));
		ck_assert_uint_eq(extraction.flows.items[1].details.ends, 1);
		extraction_deinit(&extraction);
	}
}
END_TEST

/* Beyond the limit there is overflow; an entry without counts takes no room. */
START_TEST(bounded)
{
	struct extraction extraction = {};
	const char *text = "{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\"},"
			   "{\"proto\":6,\"src\":\"1.1.1.1:1\",\"dst\":\"\",\"txPkts\":1,\"txBytes\":60},"
			   "{\"proto\":6,\"src\":\"1.1.1.1:2\",\"dst\":\"\",\"txPkts\":2,\"txBytes\":80}]}";

	ck_assert_int_eq(read_reply(text, 3, &extraction), 1);
	ck_assert_uint_eq(extraction.flows.n, 2);
	ck_assert_int_eq(read_reply(text, 3, &extraction), 1);
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
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxBytes\":1,\"rxBytes\":1}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"x\":{\"y\":1,\"y\":1}}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"x\":[}]}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"x\":\"\xff\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":\"both\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":1}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"starts\":4294967296}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"ends\":-1}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txFlags\":256}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxFlags\":\"1\"}]}",
		"{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\"},]}",
		"{\"connections\":[,]}",
		"{\"connections\":[]]}",
		"{\"connections\":[],\"connections\":[]}",
		"{\"connections\":[}",
		"{\"connections\":[]}}",
		"[{\"connections\":[]}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct extraction extraction = {};

		ck_assert_msg(read_reply(wrong[i], 9, &extraction) == -EBADMSG, "%s", wrong[i]);
		extraction_deinit(&extraction);
	}
}
END_TEST

/* Parts, members in any order, names with escapes and unknown members, split anywhere. */
START_TEST(cut_anywhere)
{
	static const char text[] =
		"{\"continues\":true,\"parameters\":{\"more\":[{\"connections\":[1]},\"]\"],\"connections\" : [ "
		"{\"rxBytes\":2,\"proto\":6,\"src\":\"\",\"dst\":\"1.1.1.1:5\"} , "
		"{\"proto\":6,\"src\":\"\",\"dst\":\"1.1.1.1:6\",\"\\\"]}\":[{}],\"txPkts\":3} ] } }\0"
		"{\"parameters\":{\"connect\\u0069ons\":[{\"pr\\u006fto\":6,\"src\":\"\",\"dst\":\"\",\"txBytes\":4}]}}";

	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct extraction extraction = {};

		ck_assert_int_eq(feed(text, sizeof(text), piece, 9, &extraction), 1);
		ck_assert_uint_eq(extraction.flows.n, 3);
		ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, 5);
		ck_assert_uint_eq(extraction.flows.items[1].connection.dst.port, 6);
		ck_assert_uint_eq(extraction.totals.rx_bytes, 2);
		ck_assert_uint_eq(extraction.totals.tx_packets, 3);
		ck_assert_uint_eq(extraction.totals.tx_bytes, 4);
		extraction_deinit(&extraction);
	}
}
END_TEST

START_TEST(ends)
{
	static const char error[] = "{\"parameters\":{\"connections\":[]},\"error\":\"a.b.C\"}";
	static const char two[] = "{\"parameters\":{\"connections\":[]}}\0{";
	static const char empty[] = "";
	struct extraction extraction = {};

	ck_assert_int_eq(feed(error, sizeof(error), 9, 9, &extraction), -EREMOTEIO);
	/* In one piece with the end, or after it. */
	ck_assert_int_eq(feed(two, sizeof(two) - 1, 99, 9, &extraction), -EBADMSG);
	ck_assert_int_eq(feed(two, sizeof(two) - 1, 1, 9, &extraction), -EBADMSG);
	ck_assert_int_eq(feed(two, sizeof(two) - 3, 1, 9, &extraction), 0);
	ck_assert_int_eq(feed(empty, 1, 1, 9, &extraction), -EBADMSG);
	ck_assert_uint_eq(extraction.flows.n, 0);
	extraction_deinit(&extraction);
}
END_TEST

/* A beginning, and then the same bytes again and again. None of it may be kept beyond the limits. */
START_TEST(endless)
{
	static const struct {
		const char *begin, *again;
		int error;
		size_t length; /* taken before it fails */
	} streams[] = {
		{"{\"parameters\":{\"connections\":[]", ",\"x\":[]", -EMSGSIZE, STATS_REPLY_PIECE_MAX},
		{"{\"parameters\":{\"connections\":[", "[", -EBADMSG, 0},
		{"{\"parameters\":{\"connections\":[{\"x\":", "[", -EMSGSIZE, STATS_REPLY_PIECE_MAX},
		{"{\"parameters\":{\"connections\":[{\"x\":\"", "text", -EMSGSIZE, STATS_REPLY_PIECE_MAX},
		{"{\"parameters\":{\"connections\":[", "\n", -EMSGSIZE, STATS_REPLY_MAX},
		{"{\"", "name", -EMSGSIZE, STATS_REPLY_PIECE_MAX},
		{"", " ", -EMSGSIZE, STATS_REPLY_PIECE_MAX},
		{"{\"parameters\":{\"connections\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":1}",
		 ",{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":1}", -EMSGSIZE, STATS_REPLY_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		struct extraction extraction = {};
		struct stats_reply reply = {.extraction = &extraction, .max_flows = 5};
		_cleanup_buffer_ struct buffer piece = {};
		int r = stats_reply_feed(&reply, streams[i].begin, strlen(streams[i].begin));

		while (piece.length < 32768)
			buffer_append_text(&piece, streams[i].again);
		/* As if most of it had arrived already. */
		if (streams[i].length == STATS_REPLY_MAX)
			reply.length = STATS_REPLY_MAX - 20 * piece.length;
		while (r == 0)
			r = stats_reply_feed(&reply, piece.data, piece.length);
		ck_assert_int_eq(r, streams[i].error);
		ck_assert_uint_ge(reply.length, streams[i].length);
		ck_assert_uint_le(reply.length, streams[i].length + 2 * piece.length);
		ck_assert_uint_le(reply.frame.allocated, 2 * STATS_REPLY_PIECE_MAX);
		ck_assert_uint_le(reply.entry.allocated, 2 * STATS_REPLY_PIECE_MAX);
		ck_assert_uint_le(extraction.flows.n, 5);
		stats_reply_deinit(&reply);
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

	tcase_add_test(tcase, details);
	tcase_add_test(tcase, whole);
	tcase_add_test(tcase, bounded);
	tcase_add_test(tcase, nonsense);
	tcase_add_test(tcase, cut_anywhere);
	tcase_add_test(tcase, ends);
	tcase_add_test(tcase, endless);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
