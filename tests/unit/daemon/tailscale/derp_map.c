/* SPDX-License-Identifier: BSD-3-Clause */
/* The regions: what makes no sense is left out by itself. */

#include "daemon/tailscale/derp_map.h"

#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>

static struct derp_map *read_map(const char *text)
{
	struct derp_map *map = NULL;

	ck_assert_int_eq(derp_map_read(text, strlen(text), &map), 0);
	return map;
}

START_TEST(regions)
{
	struct derp_map *map =
		read_map("{\"Regions\":{\"4\":{\"RegionID\":4,\"RegionCode\":\"fra\",\"Nodes\":[]},"
			 "\"1\":{\"RegionID\":1,\"RegionCode\":\"nyc\"},\"900\":{\"RegionCode\":\"own\"},"
			 "\"2\":null,\"3\":{\"RegionID\":3},\"5\":{\"RegionID\":-5,\"RegionCode\":\"a\"},"
			 "\"6\":{\"RegionID\":65536,\"RegionCode\":\"b\"},\"x\":{\"RegionCode\":\"c\"},"
			 "\"7\":{\"RegionID\":7,\"RegionCode\":\"0123456789012345678901234567890123\"}}}");

	ck_assert_uint_eq(derp_map_count(map), 3);
	ck_assert_uint_eq(derp_map_find(map, "fra"), 4);
	ck_assert_uint_eq(derp_map_find(map, "nyc"), 1);
	ck_assert_uint_eq(derp_map_find(map, "own"), 900);
	ck_assert_uint_eq(derp_map_find(map, "a"), 0);
	ck_assert_uint_eq(derp_map_find(map, ""), 0);
	ck_assert_uint_eq(derp_map_find(map, "0123456789012345678901234567890123"), 0);
	derp_map_free(map);
	ck_assert_uint_eq(derp_map_find(NULL, "fra"), 0);
}
END_TEST

START_TEST(none)
{
	static const char *const texts[] = {"", "null", "[]", "{}", "{\"Regions\":null}", "{\"Regions\":{}",
					    "7"};
	struct derp_map *map = NULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		ck_assert_int_eq(derp_map_read(texts[i], strlen(texts[i]), &map), -EBADMSG);
	ck_assert_ptr_null(map);
	map = read_map("{\"Regions\":{}}");
	ck_assert_uint_eq(derp_map_count(map), 0);
	derp_map_free(map);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("derp_map");
	TCase *cases = tcase_create("derp_map");

	tcase_add_test(cases, regions);
	tcase_add_test(cases, none);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
