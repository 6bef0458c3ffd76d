/* SPDX-License-Identifier: BSD-3-Clause */
/* Names in the comments of WireGuard configurations, as tools and people write them; and what is no name. */

#include "daemon/device/peers/conf_names.h"

#include <check.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

/* Keys of 32 equal bytes: 1, 2 and 3. */
#define KEY1   "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY2   "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define KEY3   "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="
#define SECRET "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
/* The same as JSON may have it. */
#define ESCAPED "yAnz5TF\\u002blXXJte14tji3zlMNq\\u002bhd2rYUIgJBgB3fBmk="
#define PEER1	"[Peer]\nPublicKey = " KEY1 "\nPresharedKey = " SECRET "\nAllowedIPs = 10.0.0.1/32\n"
#define PEER2	"[Peer]\nPublicKey = " KEY2 "\nAllowedIPs = 10.0.0.2/32, fd00::2/128\n"

static struct wg_names names;

static void read_in_pieces(const char *text, size_t n, size_t step)
{
	static const struct conf_names wiped;
	struct conf_names file = {};

	wg_names_deinit(&names);
	for (size_t i = 0; i < n; i += step)
		ck_assert_int_eq(conf_names_feed(&file, text + i, MIN(step, n - i), &names), 0);
	ck_assert_int_eq(conf_names_finish(&file, &names), 0);
	/* Also before it is released, no line is left. */
	for (size_t i = 0; i < sizeof(file.line); i++)
		ck_assert_int_eq(file.line[i], 0);
	conf_names_deinit(&file);
	ck_assert_mem_eq(&file, &wiped, sizeof(file));
}

static const char *name_of(int key)
{
	uint8_t bytes[WG_PEERS_KEY_SIZE];

	memset(bytes, key, sizeof(bytes));
	return wg_names_find(&names, bytes);
}

/* wanted: NULL for none. */
static void expect_name(uint8_t key, const char *wanted, const char *text)
{
	const char *name = name_of(key);
	const char *is = name ? name : "without a name", *should_be = wanted ? wanted : "without a name";

	ck_assert_msg(strcmp(is, should_be) == 0, "peer %d is %s, not %s, in:\n%s", key, is, should_be, text);
}

static void expect(const char *text, const char *one, const char *two)
{
	static const size_t steps[] = {1, 7, SIZE_MAX / 2};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		read_in_pieces(text, strlen(text), steps[i]);
		expect_name(1, one, text);
		expect_name(2, two, text);
		ck_assert_uint_eq(names.n, (size_t) !!one + (size_t) !!two);
	}
}

START_TEST(conventions)
{
	expect("[Interface]\nPrivateKey = " SECRET
	       "\n\n[Peer]\n# friendly_name = phone of Anna\nPublicKey=" KEY1 "\n",
	       "phone of Anna", NULL);
	expect("[Peer]\nPublicKey = " KEY1 "\n#friendly_name=gate\n\n" PEER2, "gate", NULL);
	expect("[Peer]\n# friendly_json={\"id\":12,\"name\":\"caf\\u00e9\",\"mail\":\"a@example.net\"}\n"
	       "PublicKey = " KEY1 "\n[Peer]\n# friendly_json={\"peer_name\":\"vm03\"}\nPublicKey = " KEY2
	       "\n",
	       "caf\303\251", "vm03");
	expect("# Name = one.example.\n" PEER1 "\n# Name: two\n# Email: two@example.net\n" PEER2,
	       "one.example", "two");
	expect("### Client laptop\n" PEER1 "\n### Client phone\n" PEER2, "laptop", "phone");
	expect("# BEGIN_PEER laptop\n" PEER1 "# END_PEER laptop\n# BEGIN_PEER phone\n" PEER2
	       "# END_PEER phone\n",
	       "laptop", "phone");
	expect("### begin laptop ###\n" PEER1 "### end laptop ###\n### begin phone ###\n" PEER2
	       "### end phone ###\n",
	       "laptop", "phone");
	expect("# Client: laptop (0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f)\n" PEER1, "laptop", NULL);
	expect("#laptop\n" PEER1 "# phone\n" PEER2, "laptop", "phone");
	expect("[Peer]\n# OnePlus 6T\nPublicKey = " KEY1 "\n[Peer] # varch.local (laptop)\nPublicKey = " KEY2,
	       "OnePlus 6T", "varch.local (laptop)");
	expect("# laptop\n[WireGuardPeer]\nPublicKey=" KEY1 "\n", "laptop", NULL);
}
END_TEST

START_TEST(whose_it_is)
{
	/* Directly before a [Peer] it is the next one's, also within a section. */
	expect(PEER1 "# two\n" PEER2, NULL, "two");
	expect(PEER1 "\n# two\n" PEER2, NULL, "two");
	/* With an empty line in between it is not directly before it. */
	expect("# not a name\n\n" PEER1, NULL, NULL);
	expect(PEER1 "# one\n\n" PEER2, "one", NULL);
	/* After an empty line in a section, a comment without a label is a heading. */
	expect(PEER1 "\n# The servers\n\n" PEER2, NULL, NULL);
	expect(PEER1 "\n# friendly_name = one\n\n" PEER2, "one", NULL);
	/* Of the interface. */
	expect("# server\n[Interface]\n# Name = hub\nPrivateKey = " SECRET "\n" PEER1, NULL, NULL);
	/* A section without a key, or with a wrong one, names nobody; the last key counts. */
	expect("# nobody\n[Peer]\nAllowedIPs = 10.0.0.9/32\n" PEER2, NULL, NULL);
	expect("# nobody\n[Peer]\nPublicKey = AQEB\n" PEER2, NULL, NULL);
	expect("# one\n[Peer]\nPublicKey = " KEY2 "\nPublicKey = " KEY1 "\n", "one", NULL);
}
END_TEST

START_TEST(several_names)
{
	/* The strongest wins wherever it stands, then the first. */
	expect("# plain\n[Peer]\n# Name = named\n# friendly_name = friendly\nPublicKey = " KEY1 "\n",
	       "friendly", NULL);
	expect("# friendly_name = friendly\n# plain\n[Peer]\n# friendly_json={\"name\":\"json\"}\nPublicKey = " KEY1
	       "\n",
	       "friendly", NULL);
	expect("# Name = named\n[Peer]\n# friendly_json={\"name\":\"json\"}\nPublicKey = " KEY1 "\n", "json",
	       NULL);
	expect("### Client client\n[Peer]\nPublicKey = " KEY1 "\n# Name = named\n", "named", NULL);
	expect("# plain\n### Client client\n" PEER1, "client", NULL);
	expect("# first\n# second\n" PEER1 "# third\n", "first", NULL);
	/* Two sections for one peer. */
	expect("# first\n" PEER1 "\n# second\n" PEER1, "first", NULL);
	expect("# first\n" PEER1 "\n# Name = second\n" PEER1, "second", NULL);
}
END_TEST

START_TEST(no_names)
{
	static const char *const comments[] = {
		"#",
		"##",
		"# ------------",
		"# PublicKey = " KEY3,
		"#PresharedKey=" SECRET,
		"# AllowedIPs = 10.0.0.9/32",
		"#AllowedIPs=10.0.0.9/32",
		"# Endpoint = vpn.example.net:51820",
		"# PersistentKeepalive=25",
		"# Email: anna@example.net",
		"# Created at:",
		"# old key " SECRET,
		"# deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
		"# friendly_name = " SECRET,
		"# friendly_json = {\"name\":\"" SECRET "\"}",
		"# friendly_json = {\"name\":\"" ESCAPED "\"}",
		"# {\"name\":\"one\",\"psk\":\"" ESCAPED "\"}",
		"# vpn://yAnz5TF%2BlXXJte14tji3zlMNq%2Bhd2rYUIgJBgB3fBmk",
		"# friendly_json = {\"name\":",
		"# friendly_json = [\"name\"]",
		"# friendly_json = {\"name\":7}",
		"# friendly_name =",
		"# friendly_name = ...",
	};
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(comments); i++) {
		snprintf(text, sizeof(text), "%s\n" PEER1, comments[i]);
		expect(text, NULL, NULL);
		snprintf(text, sizeof(text), "[Peer]\n%s\nPublicKey = " KEY1 "\n", comments[i]);
		expect(text, NULL, NULL);
	}
	expect("# friendly_json = {\"name\":\"\\u65e5\\u672c\\u8a9e\\u65e5\\u672c\\u8a9e\\u65e5\\u672c\"}\n" PEER1,
	       "日本語日本語日本", NULL);
	/* After a value: people leave old keys and notes there. */
	expect("[Peer]\nPublicKey = " KEY1 " # " SECRET "\nAllowedIPs = 10.0.0.1/32 # since May\n", NULL,
	       NULL);
	/* A commented-out peer, with its name before or in it, names neither of its neighbours. */
	expect(PEER1 "# old\n#[Peer]\n## older\n#PublicKey = " KEY3 "\n#AllowedIPs = 10.0.0.9/32\n" PEER2,
	       NULL, NULL);
	expect(PEER1 "#[Peer]\n#PublicKey = " KEY3 "\n# friendly_name = old\n\n# two\n" PEER2, NULL, "two");
	expect(PEER1 "#[Peer]\n#PublicKey = " KEY3 "\n### Client two\n" PEER2, NULL, "two");
}
END_TEST

START_TEST(how_it_is_written)
{
	char text[CONF_NAMES_LINE_MAX + 1024];
	char name[1024];

	/* CR LF, a mark of byte order, tabs, no end of line at the end. */
	expect("\xef\xbb\xbf# one\r\n[Peer]\r\nPublicKey = " KEY1
	       "\r\n\r\n# two\r\n[Peer]\r\nPublicKey = " KEY2,
	       "one", "two");
	expect("\t#\tone\t\n\t[ peer ]\t\n\tpublickey\t=\t" KEY1 "\t\n", "one", NULL);
	expect("# FRIENDLY_NAME = one\n[PEER]\nPUBLICKEY=" KEY1 "# no name\n", "one", NULL);
	/* Quotes and backslashes stay; what could steer a terminal does not, nor what is not UTF-8. */
	expect("# friendly_name = \"Anna's\" \\ <b>\n" PEER1, "\"Anna's\" \\ <b>", NULL);
	expect("# a\033[31mb\x07\n" PEER1 "# c\xe2\x80\xae"
	       "d\xe2\x81\xa6\xff\xc3\n" PEER2,
	       "a?[31mb?", "c?d???");
	expect("# friendly_json={\"name\":\"a\\u001b[2J\\nb\\u202e\"}\n" PEER1, "a?[2J?b?", NULL);
	/* Long names are cut between characters: 255 bytes, and one of two bytes more. */
	for (size_t i = 0; i < 255; i++)
		name[i] = "long-name-"[i % 10];
	snprintf(text, sizeof(text), "# %.255s\303\251\303\251\n" PEER1, name);
	name[255] = '\0';
	expect(text, name, NULL);
	/* A NUL ends nothing. */
	memcpy(text, "# a\0b\n" PEER1, sizeof("# a\0b\n" PEER1));
	read_in_pieces(text, sizeof("# a\0b\n" PEER1) - 1, 5);
	ck_assert_str_eq(name_of(1), "a?b");
	/* A line that is too long is none, and the next one is read as ever. */
	memset(text, '#', sizeof(text));
	memcpy(text + CONF_NAMES_LINE_MAX + 8, "\n# one\n" PEER1, sizeof("\n# one\n" PEER1));
	expect(text, "one", NULL);
}
END_TEST

/* All the bytes of a name may not be more than have room; the rest is left out and told. */
START_TEST(bounds)
{
	uint8_t key[WG_PEERS_KEY_SIZE] = {};
	char name[WG_NAME_MAX + 1];

	memset(name, 'x', WG_NAME_MAX);
	name[WG_NAME_MAX] = '\0';
	wg_names_deinit(&names);
	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(key, &i, sizeof(i));
		ck_assert_int_eq(wg_names_add(&names, key, name, 0), 0);
	}
	ck_assert(names.cut);
	ck_assert_uint_eq(names.n, WG_NAMES_TEXT_MAX / (WG_NAME_MAX + 1));
	ck_assert_uint_le(names.texts.allocated, 2 * WG_NAMES_TEXT_MAX);
	wg_names_sort(&names);
	ck_assert_str_eq(wg_names_find(&names, (const uint8_t[WG_PEERS_KEY_SIZE]){7}), name);
	ck_assert_ptr_null(wg_names_find(&names, key));
}
END_TEST

static void teardown(void)
{
	wg_names_deinit(&names);
}

int main(void)
{
	Suite *suite = suite_create("conf_names");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, conventions);
	tcase_add_test(tcase, whose_it_is);
	tcase_add_test(tcase, several_names);
	tcase_add_test(tcase, no_names);
	tcase_add_test(tcase, how_it_is_written);
	tcase_add_test(tcase, bounds);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
