/* SPDX-License-Identifier: BSD-3-Clause */
/* From answer to answer: what is written, and that nothing is written that has not changed. */

#include "daemon/tailscale/status.h"

#include "common/buffer.h"
#include "daemon/tailscale/derp_map.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>

static struct status *status;
static struct derp_map *derp;
static struct buffer lines;

static void setup(void)
{
	static const char map[] = "{\"Regions\":{\"4\":{\"RegionID\":4,\"RegionCode\":\"fra\"}}}";

	ck_assert_int_eq(status_new(&status), 0);
	ck_assert_int_eq(derp_map_read(map, strlen(map), &derp), 0);
}

static void teardown(void)
{
	status_free(status);
	derp_map_free(derp);
	buffer_deinit(&lines);
}

/* The lines for an answer with these members. */
static const char *read_status(const char *members)
{
	static char text[4096];

	snprintf(text, sizeof(text), "{\"BackendState\":\"Running\",%s}", members);
	ck_assert_int_eq(status_read(status, text, strlen(text)), 0);
	buffer_reset(&lines);
	ck_assert_int_eq(status_write(status, derp, &lines), 0);
	buffer_append_char(&lines, '\0');
	return lines.data;
}

static const char *read_peer(const char *members)
{
	char text[2048];

	snprintf(text, sizeof(text), "\"Peer\":{\"k1\":{%s}}", members);
	return read_status(text);
}

START_TEST(only_changes)
{
	static const char users[] = "\"User\":{\"7\":{\"LoginName\":\"a@b\"},\"8\":{\"LoginName\":\"c@d\"}}";
	static const char first[] =
		"\"k1\":{\"ID\":\"n1\",\"UserID\":7,\"DNSName\":\"one.ts.net.\",\"RxBytes\":5,"
		"\"TxBytes\":6,\"CurAddr\":\"192.0.2.1:7\",\"Active\":true}";
	static const char second[] =
		"\"k2\":{\"ID\":\"n2\",\"HostName\":\"two\",\"Tags\":[\"tag:b\",7,\"tag:a\"],"
		"\"UserID\":7,\"Relay\":\"fra\"}";
	char text[1024];

	snprintf(text, sizeof(text), "\"Peer\":{%s,%s},%s", first, second, users);
	ck_assert(status_is_whole(status));
	ck_assert_str_eq(
		read_status(text),
		"{\"node\":0,\"key\":\"k1\",\"id\":\"n1\",\"name\":\"one.ts.net\",\"user\":\"a@b\"}\n"
		"{\"counts\":0,\"tx\":6,\"rx\":5,\"path\":\"direct\",\"endpoint\":\"192.0.2.1:7\"}\n"
		"{\"node\":1,\"key\":\"k2\",\"id\":\"n2\",\"name\":\"two\",\"tags\":[\"tag:b\",\"tag:a\"]}\n"
		"{\"counts\":1,\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\",\"via\":\"fra\",\"region\":4}\n");
	ck_assert(!status_is_whole(status));
	ck_assert_str_eq(read_status(text), "");
	/* Members of no interest, in another order. */
	snprintf(text, sizeof(text),
		 "%s,\"Peer\":{%s,\"k1\":{\"ID\":\"n1\",\"UserID\":8,\"Active\":false,\"DNSName\":"
		 "\"one.ts.net.\",\"CurAddr\":\"192.0.2.1:7\",\"TxBytes\":6,\"RxBytes\":5}}",
		 users, second);
	ck_assert_str_eq(
		read_status(text),
		"{\"node\":0,\"key\":\"k1\",\"id\":\"n1\",\"name\":\"one.ts.net\",\"user\":\"c@d\"}\n");
	snprintf(text, sizeof(text), "\"Peer\":{%s},%s", second, users);
	ck_assert_str_eq(read_status(text), "{\"gone\":0}\n");
	status_forget_regions(status);
	ck_assert_str_eq(read_status(text), "{\"counts\":1,\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\","
					    "\"via\":\"fra\",\"region\":4}\n");
	status_forget_all(status);
	read_status(text);
	ck_assert_ptr_nonnull(strstr(lines.data, "{\"node\":1,"));
	ck_assert_ptr_null(strstr(lines.data, "gone"));
}
END_TEST

static const struct {
	const char *members, *counts;
} paths[] = {
	{"\"CurAddr\":\"[2001:db8::1]:7\",\"Relay\":\"fra\",\"PeerRelay\":\"192.0.2.1:7:vni:1\"",
	 ",\"path\":\"direct\",\"endpoint\":\"[2001:db8::1]:7\""},
	{"\"CurAddr\":\"\",\"Relay\":\"fra\",\"PeerRelay\":\"192.0.2.1:7:vni:1\"",
	 ",\"path\":\"relay\",\"endpoint\":\"192.0.2.1:7\""},
	{"\"CurAddr\":\"[fe80::aaaa:bbbb:cccc:dddd%enx001122334455]:41641\",\"Relay\":\"fra\"",
	 ",\"path\":\"direct\",\"endpoint\":\"[fe80::aaaa:bbbb:cccc:dddd]:41641\""},
	{"\"PeerRelay\":\"[fe80::1%1]:7:vni:9\"", ",\"path\":\"relay\",\"endpoint\":\"[fe80::1]:7\""},
	{"\"CurAddr\":\"192.0.2.1%1:7\"", ""},
	{"\"CurAddr\":\"]:7%\"", ""},
	{"\"PeerRelay\":\"[2001:db8::1]:7:vni:16777215\"",
	 ",\"path\":\"relay\",\"endpoint\":\"[2001:db8::1]:7\""},
	{"\"CurAddr\":\"nonsense\",\"PeerRelay\":\":vni:\",\"Relay\":\"fra\"",
	 ",\"path\":\"derp\",\"endpoint\":\"127.3.3.40:4\",\"via\":\"fra\",\"region\":4"},
	{"\"Relay\":\"new\"",
	 ",\"path\":\"derp\",\"endpoint\":\"127.3.3.40:0\",\"via\":\"new\",\"region\":0"},
	{"\"CurAddr\":null,\"Relay\":7", ""},
	{"\"TxBytes\":9223372036854775807,\"RxBytes\":9223372036854775808", ",\"tx\":9223372036854775807"},
	{"\"TxBytes\":-1,\"RxBytes\":1.5", ""},
	{"\"TxBytes\":\"1\",\"RxBytes\":1e3", ""},
	{"\"LastHandshake\":\"2026-11-27T10:00:00.5+01:00\",\"LastSeen\":\"1970-01-01T00:00:01Z\"",
	 ",\"handshake\":1795770000500000000,\"seen\":1000000000"},
	{"\"LastHandshake\":\"0001-01-01T00:00:00Z\",\"LastSeen\":\"yesterday\"", ""},
};

START_TEST(counts)
{
	char expected[256];
	const char *line;

	read_peer(paths[_i].members);
	line = strchr(lines.data, '\n') + 1;
	snprintf(expected, sizeof(expected), "{\"counts\":0%s}\n", paths[_i].counts);
	ck_assert_str_eq(line, expected);
}
END_TEST

#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *members, *node;
} nodes[] = {
	{"\"DNSName\":\".\",\"HostName\":\"host\"", ",\"name\":\"host\""},
	{"\"DNSName\":\"a.b\",\"HostName\":\"host\"", ",\"name\":\"a.b\""},
	{"\"HostName\":\"\\u00e9\\n\\\"\"", ",\"name\":\"\xc3\xa9\\n\\\"\""},
	{"\"HostName\":\"\\u0000\",\"OS\":\"\\ud800\"", ""},
	{"\"HostName\":\"\xff\",\"OS\":\"linux\"", ",\"os\":\"linux\""},
	{"\"ID\":\"" LONG LONG LONG LONG "\"", ",\"id\":\"" LONG LONG LONG LONG "\""},
	{"\"ID\":\"" LONG LONG LONG LONG "0\"", ""},
	{"\"TailscaleIPs\":[\"100.64.0.1\",\"\",\"x\",null,[],\"fd7a::1\"],\"AllowedIPs\":[\"10.0.0.0/8\",\"10.0.0.0/33\"]",
	 ",\"addresses\":[\"100.64.0.1\",\"fd7a::1\"],\"allowedIPs\":[\"10.0.0.0/8\"]"},
	{"\"TailscaleIPs\":\"100.64.0.1\",\"Tags\":{},\"UserID\":\"7\"", ""},
	{"\"ID\":\"a\",\"ID\":\"b\"", ",\"id\":\"b\""},
};

START_TEST(identity)
{
	char expected[512];

	read_peer(nodes[_i].members);
	*(strchr(lines.data, '\n') + 1) = '\0';
	snprintf(expected, sizeof(expected), "{\"node\":0,\"key\":\"k1\"%s}\n", nodes[_i].node);
	ck_assert_str_eq(lines.data, expected);
}
END_TEST

static const char *const useless[] = {
	"",
	"null",
	"[]",
	"{}",
	"{\"Peer\":7}",
	"{\"Peer\":[]}",
	"{\"Peer\":{}",
	"{\"Peer\":{}}x",
	"{\"Peer\":{\"a\":{\"ID\"}}}",
	"{\"Self\":{}}",
	"{\"Peer\":{\"a\":{}},}",
};

/* The answer before counts on. */
START_TEST(unusable)
{
	read_peer("\"ID\":\"n1\"");
	ck_assert_int_eq(status_read(status, useless[_i], strlen(useless[_i])), -EBADMSG);
	ck_assert_str_eq(read_peer("\"ID\":\"n1\""), "");
}
END_TEST

START_TEST(peers_that_are_none)
{
	struct buffer summary = {};

	ck_assert_str_eq(
		read_status(
			"\"Version\":\"1.98.8\",\"Peer\":{\"a\":null,\"b\":[],\"\":{},\"\\u0061\":{},\"c d\":{}}"),
		"");
	status_write_summary(status, &summary);
	buffer_append_char(&summary, '\0');
	ck_assert_str_eq(summary.data, ",\"state\":\"Running\",\"version\":\"1.98.8\",\"skipped\":5");
	buffer_deinit(&summary);
	ck_assert_str_eq(read_status("\"Peer\":null"), "");
}
END_TEST

/* The node itself, and a key that comes twice. */
START_TEST(self)
{
	ck_assert_str_eq(
		read_status("\"Self\":{\"ID\":\"me\"},\"Peer\":{\"a\":{},\"a\":{\"TxBytes\":1}}"),
		"{\"node\":262143,\"self\":true,\"id\":\"me\"}\n{\"node\":0,\"key\":\"a\"}\n{\"counts\":0}\n");
	ck_assert_str_eq(read_status("\"Self\":null,\"Peer\":{\"a\":{}}"), "{\"gone\":262143}\n");
}
END_TEST

START_TEST(regions_that_are_missing)
{
	read_peer("\"Relay\":\"fra\"");
	ck_assert(!status_needs_regions(status, derp));
	ck_assert(status_needs_regions(status, NULL));
	read_peer("\"Relay\":\"new\"");
	ck_assert(status_needs_regions(status, derp));
	read_peer("\"Relay\":\"new\",\"CurAddr\":\"192.0.2.1:1\"");
	ck_assert(!status_needs_regions(status, derp));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("status");
	TCase *cases = tcase_create("status");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, only_changes);
	tcase_add_loop_test(cases, counts, 0, sizeof(paths) / sizeof(*paths));
	tcase_add_loop_test(cases, identity, 0, sizeof(nodes) / sizeof(*nodes));
	tcase_add_loop_test(cases, unusable, 0, sizeof(useless) / sizeof(*useless));
	tcase_add_test(cases, peers_that_are_none);
	tcase_add_test(cases, self);
	tcase_add_test(cases, regions_that_are_missing);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
