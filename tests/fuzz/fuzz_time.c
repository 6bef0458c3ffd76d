/* SPDX-License-Identifier: BSD-3-Clause */
/* Times: what can be read is written in one form, which reads as the same; any number can be written. */

#include "common/cleanup.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "tests/fuzz/fuzz_support.h"

static void check_number(int64_t wall)
{
	char text[TIME_TEXT_MAX];
	int64_t again;

	REQUIRE(time_format(wall, text) == strlen(text));
	REQUIRE(strlen(text) < sizeof(text));
	REQUIRE(time_parse(text, &again) == 0);
	REQUIRE(again == wall);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *input = text_of_input(data, size);
	uint64_t number;
	int64_t ns;

	if (time_parse(input, &ns) == 0)
		check_number(ns);
	if (size >= sizeof(ns)) {
		memcpy(&ns, data, sizeof(ns));
		check_number(ns);
	}
	if (parse_duration(input, &ns) == 0)
		REQUIRE(ns >= 0);
	if (parse_u64(input, &number) == 0)
		REQUIRE(parse_size(input, &number) == 0);
	return 0;
}
