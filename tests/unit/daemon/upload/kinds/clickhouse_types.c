/* SPDX-License-Identifier: BSD-3-Clause */
/* Which types hold our values; and that unknown ones are let pass. */

#include "daemon/upload/kinds/clickhouse_types.h"

#include "daemon/upload/kinds/clickhouse_rows.h"

#include <check.h>
#include <string.h>

#define CLASSES "\\'virtual\\' = 1, \\'subnet\\' = 2, \\'exit\\' = 3, \\'physical\\' = 4)"

static bool fits(const char *column, const char *type, bool event)
{
	return !clickhouse_type_needed(column, event, type, strlen(type));
}

static const struct {
	const char *column, *type;
	bool fits;
} type_cases[] = {
	{"tx_bytes", "UInt64", true},
	{"tx_bytes", "Int64", true},
	{"tx_bytes", "UInt128", true},
	{"tx_bytes", "Int256", true},
	{"tx_bytes", "Float64", true},
	{"tx_bytes", "Decimal(38, 0)", true},
	{"tx_bytes", "Nullable(UInt64)", true},
	{"tx_bytes", "LowCardinality(Nullable(UInt64))", true},
	{"tx_bytes", "SimpleAggregateFunction(sum, UInt64)", true},
	{"tx_bytes", "String", true},
	{"tx_bytes", "Variant(UInt8, UInt64)", true},
	{"tx_bytes", "SomethingNew(8)", true},
	{"tx_bytes", "UInt8", false},
	{"tx_bytes", "UInt32", false},
	{"tx_bytes", "Int32", false},
	{"tx_bytes", "Float32", false},
	{"tx_bytes", "Nullable(UInt8)", false},
	{"tx_bytes", "LowCardinality(Nullable(UInt32))", false},
	{"tx_bytes", "SimpleAggregateFunction(sum, UInt32)", false},
	{"tx_bytes", "DateTime", false},
	{"tx_bytes", "Array(UInt64)", false},
	{"tx_bytes", "Bool", false},
	{"seq", "UInt8", false},
	{"seq", "Int64", true},
	{"proc_id", "UInt32", true},
	{"proc_id", "Int32", false},
	{"proc_id", "Int64", true},
	{"idx", "UInt16", false},
	{"src_port", "UInt16", true},
	{"src_port", "Int16", false},
	{"src_port", "Int32", true},
	{"src_port", "UInt8", false},
	{"proto", "UInt8", true},
	{"proto", "Int8", false},
	{"proto", "Int16", true},
	{"node", "String", true},
	{"node", "LowCardinality(String)", true},
	{"node", "FixedString(12)", true},
	{"node", "Enum8(\\'n1\\' = 1)", true},
	{"node", "UInt64", false},
	{"node", "Date", false},
	{"class", "Enum8(" CLASSES, true},
	{"class", "Enum16('other' = 0, 'virtual' = 1, 'subnet' = 2, 'exit' = 3, 'physical' = 4)", true},
	{"class", "LowCardinality(Enum8(" CLASSES ")", true},
	{"class", "Enum8(\\'nothing\\' = 1)", false},
	{"class", "Enum8('virtual' = 1, 'subnet' = 2, 'exit' = 3, 'physical path' = 4)", false},
	{"class", "Enum8('virtual' = 1, 'subnet' = 2, 'an exit' = 3, 'physical' = 4)", false},
	{"class", "Enum8('an exit' = 1, 'exit' = 2, 'virtual' = 3, 'subnet' = 4, 'physical' = 5)", true},
	{"class", "LowCardinality(String)", true},
	{"class", "FixedString(8)", true},
	{"class", "FixedString(7)", false},
	{"class", "UInt8", false},
	{"kind", "Enum8('text' = 1, 'loss' = 2, 'overflow' = 3, 'empty' = 4)", true},
	{"kind", "Enum8('text' = 1, 'loss' = 2, 'overflow' = 3)", false},
	{"init", "Enum8('unknown' = 0, 'src' = 1, 'dst' = 2)", true},
	{"init", "Enum8('src' = 1, 'dst' = 2)", false},
	{"init", "LowCardinality(String)", true},
	{"init", "UInt8", false},
	{"starts", "UInt32", true},
	{"ends", "UInt16", false},
	{"ends", "String", false},
	{"ends", "Nullable(Int64)", true},
	{"tx_drops", "Int32", false},
	{"rx_drops", "UInt64", true},
	{"tx_flags", "UInt8", true},
	{"rx_flags", "Int8", false},
	{"drop_reason", "LowCardinality(String)", true},
	{"drop_reason", "UInt16", false},
	{"start", "DateTime64(9, \\'UTC\\')", true},
	{"start", "DateTime", true},
	{"start", "Nullable(DateTime64(3))", true},
	{"start", "String", true},
	{"start", "FixedString(23)", true},
	{"start", "FixedString(19)", false},
	{"start", "Date", false},
	{"start", "Date32", false},
	{"start", "UInt64", false},
	{"start", "Float64", false},
	{"src", "IPv6", true},
	{"src", "String", true},
	{"src", "FixedString(45)", true},
	{"src", "FixedString(16)", false},
	{"src", "IPv4", false},
	{"src", "UInt128", false},
	{"src", "UUID", false},
	{"stored", "UInt8", true},
	{"seq", "", true},
	{"seq", "Nullable(", true},
	{"seq", "UInt", false},
	{"seq", "UInt99999999999999999999", true},
	{"class", "Enum8(", false},
};

START_TEST(test_types)
{
	for (size_t i = 0; i < sizeof(type_cases) / sizeof(type_cases[0]); i++)
		ck_assert_msg(fits(type_cases[i].column, type_cases[i].type, false) == type_cases[i].fits,
			      "%s %s", type_cases[i].column, type_cases[i].type);
	/* Of events, idx has four values. */
	ck_assert(fits("idx", "UInt8", true) && fits("idx", "Int8", true));
	ck_assert_str_eq(clickhouse_type_needed("seq", false, "UInt8", 5), "UInt64");
}
END_TEST

/* None is forgotten. */
START_TEST(test_every_column)
{
	for (size_t i = 0; clickhouse_flow_columns[i]; i++)
		ck_assert_msg(!fits(clickhouse_flow_columns[i], "Array(Nothing)", false), "%s",
			      clickhouse_flow_columns[i]);
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		ck_assert_msg(!fits(clickhouse_detail_columns[i], "Array(Nothing)", false), "%s",
			      clickhouse_detail_columns[i]);
	for (size_t i = 0; clickhouse_event_columns[i]; i++)
		ck_assert_msg(!fits(clickhouse_event_columns[i], "Array(Nothing)", true), "%s",
			      clickhouse_event_columns[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clickhouse_types");
	TCase *tcase = tcase_create("clickhouse_types");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_types);
	tcase_add_test(tcase, test_every_column);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
