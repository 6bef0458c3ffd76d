/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as values, and their text. */

#include "common/address.h"
#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* What is read, and how it is written: SPEC 7's rules one by one. */
static const struct {
	const char *text;
	const char *canonical;
} addresses[] = {
	{"", ""},
	{"0.0.0.0", "0.0.0.0"},
	{"1.2.3.4", "1.2.3.4"},
	{"9.10.99.100", "9.10.99.100"},
	{"255.255.255.255", "255.255.255.255"},
	{"::", "::"},
	{"0:0:0:0:0:0:0:0", "::"},
	{"::1", "::1"},
	{"1::", "1::"},
	{"2001:DB8::A", "2001:db8::a"},
	{"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
	/* one zero group stays */
	{"1:2:3:0:5:6:7:8", "1:2:3:0:5:6:7:8"},
	{"0:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:0"},
	/* the first of equal runs, else the longest */
	{"1:0:0:4:0:0:7:8", "1::4:0:0:7:8"},
	{"1:0:0:4:0:0:0:8", "1:0:0:4::8"},
	{"0:0:3:4:5:6:0:0", "::3:4:5:6:0:0"},
	{"0:2:3:4:5:0:0:0", "0:2:3:4:5::"},
	{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
	{"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
	{"fd7a:115c:a1e0::53", "fd7a:115c:a1e0::53"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"1000:200:30:4::", "1000:200:30:4::"},
	/* only IPv4-mapped ones are dotted, not IPv4-compatible or translated ones */
	{"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
	{"::ffff:102:304", "::ffff:1.2.3.4"},
	{"::ffff:0:0", "::ffff:0.0.0.0"},
	{"::1.2.3.4", "::102:304"},
	{"::fffe:1.2.3.4", "::fffe:102:304"},
	{"::ffff:0:1.2.3.4", "::ffff:0:102:304"},
	{"1::ffff:1.2.3.4", "1::ffff:102:304"},
	{"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
};

START_TEST(test_address_text)
{
	char text[ADDRESS_TEXT_MAX];
	struct address address, again;

	ck_assert_msg(address_parse(addresses[_i].text, &address) == 0, "%s", addresses[_i].text);
	ck_assert_uint_eq(address_format(&address, text), strlen(addresses[_i].canonical));
	ck_assert_str_eq(text, addresses[_i].canonical);
	ck_assert_int_eq(address_parse(text, &again), 0);
	ck_assert_int_eq(address_compare(&address, &again), 0);
}
END_TEST

static const char *const wrong_addresses[] = {
	" ",
	"1.2.3",
	"1.2.3.4.5",
	"1.2.3.256",
	"01.2.3.4",
	"1.2.3.04",
	"1.2.3.4 ",
	" 1.2.3.4",
	"1..2.3",
	".1.2.3.4",
	"1.2.3.",
	"1.2.3.-4",
	"0x1.2.3.4",
	":",
	":::",
	"1::2::3",
	"1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:9",
	"12345::",
	"g::",
	"fe80::1%eth0",
	"fe80::1%1",
	"[::1]",
	"::1/128",
	"::1.2.3",
	"::01.2.3.4",
	"::ffff:1.2.3.4.5",
	"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
};

START_TEST(test_wrong_address)
{
	struct address address = {.family = 42};

	ck_assert_msg(address_parse(wrong_addresses[_i], &address) == -EINVAL, "%s", wrong_addresses[_i]);
	ck_assert_uint_eq(address.family, 42);
}
END_TEST

/* Every number at every place of an IPv4 address. */
START_TEST(test_octets)
{
	for (int place = 0; place < 4; place++)
		for (int value = 0; value < 256; value++) {
			uint8_t bytes[4] = {1, 20, 103, 4};
			char text[ADDRESS_TEXT_MAX], expected[64];
			struct address address, again;

			bytes[place] = (uint8_t)value;
			address = address_ipv4(bytes);
			snprintf(expected, sizeof(expected), "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2],
				 bytes[3]);
			ck_assert_uint_eq(address_format(&address, text), strlen(expected));
			ck_assert_str_eq(text, expected);
			ck_assert_int_eq(address_parse(text, &again), 0);
			ck_assert_int_eq(address_compare(&address, &again), 0);
		}
}
END_TEST

static const struct {
	const char *text;
	const char *canonical; /* NULL: refused */
} endpoints[] = {
	{"", ""},
	{"1.2.3.4:5", "1.2.3.4:5"},
	{"1.2.3.4:0", "1.2.3.4:0"},
	{"255.255.255.255:65535", "255.255.255.255:65535"},
	{"[2001:db8::1]:5", "[2001:db8::1]:5"},
	{"[::ffff:102:304]:10", "[::ffff:1.2.3.4]:10"},
	{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"1.2.3.4", NULL},
	{"1.2.3.4:", NULL},
	{"1.2.3.4:65536", NULL},
	{"1.2.3.4:00", NULL},
	{"1.2.3.4:05", NULL},
	{"1.2.3.4:+5", NULL},
	{"1.2.3.4:5 ", NULL},
	{"1.2.3.4:99999999999999999999", NULL},
	{":5", NULL},
	{"[]:5", NULL},
	{"[1.2.3.4]:5", NULL},
	{"2001:db8::1:5", NULL},
	{"[2001:db8::1]5", NULL},
	{"[2001:db8::1:5", NULL},
	{"2001:db8::1]:5", NULL},
	{"[", NULL},
	{"[:5", NULL},
};

START_TEST(test_endpoint_text)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint = {.port = 42};

	if (!endpoints[_i].canonical) {
		ck_assert_msg(endpoint_parse(endpoints[_i].text, &endpoint) == -EINVAL, "%s",
			      endpoints[_i].text);
		ck_assert_uint_eq(endpoint.port, 42);
		return;
	}
	ck_assert_msg(endpoint_parse(endpoints[_i].text, &endpoint) == 0, "%s", endpoints[_i].text);
	ck_assert_uint_eq(endpoint_format(&endpoint, text), strlen(endpoints[_i].canonical));
	ck_assert_str_eq(text, endpoints[_i].canonical);
}
END_TEST

START_TEST(test_no_address)
{
	struct endpoint endpoint = {.port = 80};
	struct prefix prefix = {.length = 8};
	char text[ENDPOINT_TEXT_MAX] = "x";

	ck_assert_uint_eq(endpoint_format(&endpoint, text), 0);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(prefix_format(&prefix, text), 0);
	ck_assert_uint_eq(address_bits(&endpoint.address), 0);
	ck_assert(!prefix_is_single(&prefix));
	ck_assert(!prefix_contains(&prefix, &endpoint.address));
}
END_TEST

/* Every address in the packets' vectors is read and written unchanged. */
START_TEST(test_vectors)
{
	json_t *vectors = json_load_file(VECTORS, 0, NULL), *vector;
	unsigned int seen = 0;
	size_t i;

	ck_assert_ptr_nonnull(vectors);
	json_array_foreach (vectors, i, vector) {
		const char *names[] = {"src", "dst"};

		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			json_t *tuple = json_object_get(vector, "tuple");
			const char *expected = json_string_value(json_object_get(tuple, names[j]));
			struct endpoint endpoint;
			char text[ENDPOINT_TEXT_MAX];

			ck_assert_ptr_nonnull(expected);
			ck_assert_msg(endpoint_parse(expected, &endpoint) == 0, "%s", expected);
			endpoint_format(&endpoint, text);
			ck_assert_str_eq(text, expected);
			seen++;
		}
	}
	ck_assert_uint_ge(seen, 2 * 81);
	json_decref(vectors);
}
END_TEST

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	ck_assert_msg(prefix_parse(text, &prefix) == 0, "%s", text);
	return prefix;
}

static const struct {
	const char *text;
	const char *canonical; /* NULL: refused */
	const char *masked;
} prefixes[] = {
	{"10.0.0.1", "10.0.0.1/32", "10.0.0.1/32"},
	{"10.0.0.1/8", "10.0.0.1/8", "10.0.0.0/8"},
	{"10.255.255.255/9", "10.255.255.255/9", "10.128.0.0/9"},
	{"10.0.0.3/31", "10.0.0.3/31", "10.0.0.2/31"},
	{"1.2.3.4/0", "1.2.3.4/0", "0.0.0.0/0"},
	{"::/0", "::/0", "::/0"},
	{"ff::ff/128", "ff::ff/128", "ff::ff/128"},
	{"ffff:ffff:ffff:ffff::1/65", "ffff:ffff:ffff:ffff::1/65", "ffff:ffff:ffff:ffff::/65"},
	{"fd7a:115c:a1e0::/48", "fd7a:115c:a1e0::/48", "fd7a:115c:a1e0::/48"},
	{"", NULL, NULL},
	{"/8", NULL, NULL},
	{"10.0.0.0/", NULL, NULL},
	{"10.0.0.0/33", NULL, NULL},
	{"::/129", NULL, NULL},
	{"10.0.0.0/08", NULL, NULL},
	{"10.0.0.0/8/8", NULL, NULL},
	{"10.0.0.0/-1", NULL, NULL},
	{"10/8", NULL, NULL},
};

START_TEST(test_prefix_text)
{
	struct prefix prefix, masked;
	char text[PREFIX_TEXT_MAX];

	if (!prefixes[_i].canonical) {
		ck_assert_msg(prefix_parse(prefixes[_i].text, &prefix) == -EINVAL, "%s", prefixes[_i].text);
		return;
	}
	prefix = prefix_of(prefixes[_i].text);
	ck_assert_uint_eq(prefix_format(&prefix, text), strlen(prefixes[_i].canonical));
	ck_assert_str_eq(text, prefixes[_i].canonical);
	masked = prefix_masked(&prefix);
	prefix_format(&masked, text);
	ck_assert_str_eq(text, prefixes[_i].masked);
}
END_TEST

static bool contains(const char *prefix_text, const char *address_text)
{
	struct prefix prefix = prefix_of(prefix_text);
	struct address address;

	ck_assert_int_eq(address_parse(address_text, &address), 0);
	return prefix_contains(&prefix, &address);
}

START_TEST(test_contains)
{
	ck_assert(contains("100.64.0.0/10", "100.64.0.0"));
	ck_assert(contains("100.64.0.0/10", "100.127.255.255"));
	ck_assert(!contains("100.64.0.0/10", "100.128.0.0"));
	ck_assert(!contains("100.64.0.0/10", "100.63.255.255"));
	ck_assert(contains("10.0.0.7/8", "10.9.9.9"));
	ck_assert(contains("1.2.3.4/32", "1.2.3.4"));
	ck_assert(!contains("1.2.3.4/32", "1.2.3.5"));
	ck_assert(contains("0.0.0.0/0", "9.9.9.9"));
	ck_assert(!contains("0.0.0.0/0", "::"));
	ck_assert(!contains("::/0", "9.9.9.9"));
	ck_assert(!contains("1.2.3.0/24", "::ffff:1.2.3.4"));
	ck_assert(contains("::/0", "::ffff:1.2.3.4"));
	ck_assert(contains("fd00::1/128", "fd00::1"));
	ck_assert(!contains("fd00::1/128", "fd00::2"));
	ck_assert(contains("fd00::/65", "fd00:0:0:0:7fff::"));
	ck_assert(!contains("fd00::/65", "fd00:0:0:0:8000::"));
}
END_TEST

START_TEST(test_order)
{
	static const char *const sorted[] = {"",	   "0.0.0.0:1", "1.0.0.0:9",
					     "1.0.0.0:10", "2.0.0.0:0", "10.0.0.0:0",
					     "[::]:0",	   "[::1]:0",	"[ff::]:0"};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
			struct endpoint a, b;
			int order;

			ck_assert_int_eq(endpoint_parse(sorted[i], &a), 0);
			ck_assert_int_eq(endpoint_parse(sorted[j], &b), 0);
			order = endpoint_compare(&a, &b);
			ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
		}
}
END_TEST

START_TEST(test_lists)
{
	static const char *const items[] = {"10.0.0.0/8", "::/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/7"};
	static const char *const sorted[] = {"9.0.0.0/8", "10.0.0.0/7", "10.0.0.0/8", "::/0"};
	struct prefix_list list = {}, copy;

	prefix_list_sort(&list);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		struct prefix prefix = prefix_of(items[i]);

		ck_assert_int_eq(prefix_list_add(&list, &prefix), 0);
	}
	prefix_list_sort(&list);
	ck_assert_uint_eq(list.n, ARRAY_SIZE(sorted));
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		struct prefix prefix = prefix_of(sorted[i]);

		ck_assert(prefix_equal(&list.items[i], &prefix));
	}
	ck_assert_int_eq(prefix_list_copy(&list, &copy), 0);
	ck_assert(prefix_list_equal(&list, &copy));
	/* Both grow independently. */
	for (unsigned int i = 0; i < 100; i++) {
		struct prefix prefix = prefix_of("1.0.0.0/8");

		ck_assert_int_eq(prefix_list_add(&copy, &prefix), 0);
		ck_assert(!prefix_list_equal(&list, &copy));
	}
	ck_assert_uint_eq(copy.n, list.n + 100);
	prefix_list_sort(&copy);
	ck_assert_uint_eq(copy.n, list.n + 1);
	prefix_list_deinit(&list);
	prefix_list_deinit(&copy);
	ck_assert_uint_eq(list.n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *test_case = tcase_create("address");

	tcase_add_loop_test(test_case, test_address_text, 0, ARRAY_SIZE(addresses));
	tcase_add_loop_test(test_case, test_wrong_address, 0, ARRAY_SIZE(wrong_addresses));
	tcase_add_test(test_case, test_octets);
	tcase_add_loop_test(test_case, test_endpoint_text, 0, ARRAY_SIZE(endpoints));
	tcase_add_test(test_case, test_no_address);
	tcase_add_test(test_case, test_vectors);
	tcase_add_loop_test(test_case, test_prefix_text, 0, ARRAY_SIZE(prefixes));
	tcase_add_test(test_case, test_contains);
	tcase_add_test(test_case, test_order);
	tcase_add_test(test_case, test_lists);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
