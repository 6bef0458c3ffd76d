/* SPDX-License-Identifier: BSD-3-Clause */
/* The helper's lines, good and bad, in pieces of any size. */

#include "daemon/device/tailscale/reading.h"

#include "daemon/tailscale/form.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>

static struct tailscale_nodes *nodes;
static struct tailscale_reading *reading;
static struct tailscale_result last;
static char last_state[64], last_reason[64];
static unsigned int ends;

static void on_ended(const struct tailscale_result *result, void *userdata)
{
	ck_assert_ptr_eq(userdata, &last);
	last = *result;
	snprintf(last_state, sizeof(last_state), "%s", result->state);
	snprintf(last_reason, sizeof(last_reason), "%s", result->reason ? result->reason : "");
	ends++;
}

static void setup(void)
{
	ck_assert_int_eq(tailscale_nodes_new(&nodes), 0);
	ck_assert_int_eq(tailscale_reading_new(nodes, on_ended, &last, &reading), 0);
	ends = 0;
}

static void teardown(void)
{
	tailscale_reading_free(reading);
	tailscale_nodes_free(nodes);
}

static int feed(const char *text)
{
	return tailscale_reading_feed(reading, text, strlen(text));
}

static struct tailscale_node *node(const char *key)
{
	struct tailscale_node *found = tailscale_nodes_find(nodes, key);

	ck_assert_ptr_nonnull(found);
	return found;
}

#define KEY   "nodekey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BEGIN "{\"begin\":1,\"form\":1,\"server\":\"s\",\"whole\":true}\n"
#define GO_ON "{\"begin\":2,\"form\":1,\"server\":\"s\",\"whole\":false}\n"
#define END   "{\"end\":1,\"ms\":12,\"state\":\"Running\",\"version\":\"1\",\"skipped\":3}\n"
#define READING                                                                                                  \
	BEGIN "{\"node\":262143,\"self\":true,\"id\":\"me\"}\n"                                                  \
	      "{\"node\":0,\"key\":\"" KEY                                                                       \
	      "\",\"id\":\"n1\",\"name\":\"one\",\"os\":\"linux\",\"tags\":[\"a\",\"b\"],"                       \
	      "\"addresses\":[\"100.64.0.2\"],\"allowedIPs\":[\"100.64.0.2/32\",\"10.0.0.0/8\"]}\n"              \
	      "{\"counts\":0,\"tx\":5,\"rx\":6,\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\",\"via\":\"fra\"," \
	      "\"region\":4,\"handshake\":7,\"seen\":8}\n"                                                       \
	      "{\"node\":1,\"key\":\"other\"}\n" END

START_TEST(whole)
{
	const char *text = READING;
	size_t step = (size_t)_i + 1;
	struct tailscale_node *one;

	for (size_t i = 0; i < strlen(text); i += step)
		ck_assert_int_eq(tailscale_reading_feed(reading, text + i, MIN(step, strlen(text) - i)), 0);
	ck_assert_uint_eq(ends, 1);
	ck_assert_uint_eq(last.number, 1);
	ck_assert_int_eq(last.took_ms, 12);
	ck_assert_uint_eq(last.skipped, 3);
	ck_assert_ptr_null(last.problem);
	ck_assert_str_eq(last_state, "Running");
	ck_assert_uint_eq(tailscale_nodes_count(nodes), 3);
	one = node(KEY);
	ck_assert(one->here && one->named && !one->self && one->has_public_key);
	ck_assert_uint_eq(one->public_key[31], 31);
	ck_assert_str_eq(one->id, "n1");
	ck_assert_str_eq(one->name, "one");
	ck_assert_str_eq(one->os, "linux");
	ck_assert_ptr_null(one->user);
	ck_assert_str_eq(one->tags[1], "b");
	ck_assert_ptr_null(one->tags[2]);
	ck_assert_uint_eq(one->addresses.n, 1);
	ck_assert_uint_eq(one->allowed_ips.n, 2);
	ck_assert(one->has_tx && one->has_rx && one->tx == 5 && one->rx == 6);
	ck_assert_int_eq(one->path, DEVICE_PATH_DERP);
	ck_assert_str_eq(one->via, "fra");
	ck_assert(one->region == 4 && one->endpoint.port == 4 && one->last_handshake == 7 &&
		  one->last_seen == 8);
	ck_assert(node("")->self && node("")->here);
	/* Without an ID the key stands for it, and its beginning for the name. */
	ck_assert(!node("other")->named && !node("other")->has_public_key);
	ck_assert_str_eq(node("other")->id, "other");
	ck_assert_str_eq(node("other")->name, "other");
}
END_TEST

START_TEST(changes)
{
	uint64_t identities;

	ck_assert_int_eq(feed(READING), 0);
	identities = tailscale_reading_identities(reading);
	ck_assert_int_eq(
		feed(GO_ON "{\"counts\":0,\"rx\":9,\"path\":\"direct\",\"endpoint\":\"192.0.2.1:7\"}\n" END),
		0);
	ck_assert(!node(KEY)->has_tx && node(KEY)->rx == 9);
	ck_assert_int_eq(node(KEY)->path, DEVICE_PATH_DIRECT);
	ck_assert_str_eq(node(KEY)->via, "");
	ck_assert_uint_eq(tailscale_reading_identities(reading), identities);
	ck_assert_int_eq(feed(GO_ON "{\"gone\":1}\n{\"gone\":1}\n{\"gone\":77}\n" END), 0);
	ck_assert(!node("other")->here && node(KEY)->here);
	ck_assert_uint_ne(tailscale_reading_identities(reading), identities);
	/* Its number leads nowhere now. */
	ck_assert_int_eq(feed(GO_ON "{\"counts\":1}\n"), -EBADMSG);
}
END_TEST

/* What is missing from a whole reading has gone when that is complete, not before. */
START_TEST(another_helper)
{
	ck_assert_int_eq(feed(READING), 0);
	tailscale_reading_restart(reading);
	ck_assert_int_eq(feed(GO_ON), -EBADMSG);
	tailscale_reading_restart(reading);
	ck_assert_int_eq(feed(BEGIN "{\"node\":5,\"key\":\"" KEY "\",\"id\":\"n2\"}\n"), 0);
	ck_assert(node("other")->here && node(KEY)->here);
	ck_assert_int_eq(feed(END), 0);
	ck_assert(!node("other")->here && node(KEY)->here && !node("")->here);
	ck_assert_str_eq(node(KEY)->id, "n2");
	ck_assert_uint_eq(tailscale_nodes_count(nodes), 3);
	tailscale_nodes_forget(nodes, INT64_MAX);
	ck_assert_uint_eq(tailscale_nodes_count(nodes), 1);
	ck_assert_ptr_eq(tailscale_nodes_get(nodes, 0), node(KEY));
	ck_assert_int_eq(feed(GO_ON "{\"counts\":5,\"tx\":1}\n" END), 0);
	ck_assert_uint_eq(node(KEY)->tx, 1);
}
END_TEST

/* What could steer a terminal does not reach one. */
START_TEST(plain_names)
{
	ck_assert_int_eq(
		feed(BEGIN "{\"node\":0,\"key\":\"a\",\"name\":\"x\\u001b[31m\\u202ey\",\"user\":\"\\n\"}\n"),
		0);
	ck_assert_str_eq(node("a")->name, "x?[31m?y");
	ck_assert_str_eq(node("a")->user, "?");
}
END_TEST

/* A key that gets another number has only that one. */
START_TEST(two_numbers)
{
	ck_assert_int_eq(
		feed(BEGIN
		     "{\"node\":0,\"key\":\"a\"}\n{\"node\":1,\"key\":\"a\"}\n{\"counts\":1}\n{\"gone\":1}\n"),
		0);
	ck_assert_int_eq(feed("{\"counts\":0}\n"), -EBADMSG);
}
END_TEST

START_TEST(failed)
{
	ck_assert_int_eq(feed("{\"failed\":4,\"ms\":0,\"problem\":\"absent\",\"reason\":\"nobody\"}\n"), 0);
	ck_assert_uint_eq(last.number, 4);
	ck_assert(last.absent);
	ck_assert_str_eq(last_reason, "nobody");
	ck_assert_int_eq(feed("{\"failed\":5}\n"), 0);
	ck_assert(last.problem && !last.absent);
}
END_TEST

static const struct {
	const char *text;
	int error;
} wrong[] = {
	{"\n", -EBADMSG},
	{"x\n", -EBADMSG},
	{"[]\n", -EBADMSG},
	{"{}\n", -EBADMSG},
	{"{\"begin\":1}\n", -EBADMSG},
	{"{\"begin\":1,\"form\":2,\"whole\":true}\n", -EPROTONOSUPPORT},
	{"{\"end\":1}\n", -EBADMSG},
	{"{\"node\":0,\"key\":\"a\"}\n", -EBADMSG},
	{BEGIN "{\"node\":0}\n", -EBADMSG},
	{BEGIN "{\"node\":262144,\"key\":\"a\"}\n", -EBADMSG},
	{BEGIN "{\"node\":-1,\"key\":\"a\"}\n", -EBADMSG},
	{BEGIN "{\"node\":\"0\",\"key\":\"a\"}\n", -EBADMSG},
	{BEGIN "{\"counts\":0}\n", -EBADMSG},
	{BEGIN "{\"counts\":262143}\n", -EBADMSG},
	{BEGIN "{\"end\":-1}\n", -EBADMSG},
	{BEGIN "{\"node\":0,\"key\":\"\xff\"}\n", -EBADMSG},
	{BEGIN "{\"node\":0,\"key\":\"a\",\"node\":0}\n", -EBADMSG},
};

START_TEST(nonsense)
{
	ck_assert_int_eq(feed(wrong[_i].text), wrong[_i].error);
	ck_assert_uint_eq(ends, 0);
	tailscale_reading_restart(reading);
	ck_assert_int_eq(feed(READING), 0);
	ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(a_line_without_end)
{
	static char piece[65536];
	int r = 0;

	memset(piece, 'x', sizeof(piece));
	for (int i = 0; r == 0 && i < 100; i++)
		r = tailscale_reading_feed(reading, piece, sizeof(piece));
	ck_assert_int_eq(r, -EMSGSIZE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reading");
	TCase *cases = tcase_create("reading");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, whole, 0, 40);
	tcase_add_test(cases, changes);
	tcase_add_test(cases, another_helper);
	tcase_add_test(cases, plain_names);
	tcase_add_test(cases, two_numbers);
	tcase_add_test(cases, failed);
	tcase_add_loop_test(cases, nonsense, 0, ARRAY_SIZE(wrong));
	tcase_add_test(cases, a_line_without_end);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
