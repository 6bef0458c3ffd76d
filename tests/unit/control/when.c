/* SPDX-License-Identifier: BSD-3-Clause */
/* Points in time as people type them. */

#include "control/when.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "tests/unit/control/support.h"

#include <errno.h>

START_TEST(test_when)
{
	static const struct {
		const char *text, *time;
	} good[] = {
		{"now", "2026-11-22T20:23:14.5Z"},
		{"today", "2026-11-22T00:00:00Z"},
		{"yesterday", "2026-11-21T00:00:00Z"},
		{"2026-11-20", "2026-11-20T00:00:00Z"},
		{"2026-11-20 08:30", "2026-11-20T08:30:00Z"},
		{"2026-11-20 08:30:15", "2026-11-20T08:30:15Z"},
		{"2026-11-20T08:30:15+01:00", "2026-11-20T07:30:15Z"},
		{"10m", "2026-11-22T20:13:14.5Z"},
		{"10m ago", "2026-11-22T20:13:14.5Z"},
		{"1h30m", "2026-11-22T18:53:14.5Z"},
		{"2d ago", "2026-11-20T20:23:14.5Z"},
	};
	static const char *const bad[] = {"",	 "ago",	    " ago",	  "10",
					  "10x", "m",	    "10m x",	  "1h30",
					  "-5m", "2026-11", "2026-13-01", "2026-11-20 8:30"};
	int64_t now, time;
	char text[TIME_TEXT_MAX];

	ck_assert_int_eq(time_parse("2026-11-22T20:23:14.5Z", &now), 0);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(when_parse(good[i].text, now, &time) == 0, "%s", good[i].text);
		time_format(time, text);
		ck_assert_str_eq(text, good[i].time);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(when_parse(bad[i], now, &time) == -EINVAL, "%s", bad[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_when};

	return run_suite("when", tests, ARRAY_SIZE(tests));
}
