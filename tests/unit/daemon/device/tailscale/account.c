/* SPDX-License-Identifier: BSD-3-Clause */
/* What counters moved by, and the events. */

#include "daemon/device/tailscale/account.h"

#include "tests/unit/common/support.h"

#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static struct tailscale_nodes *nodes;
static struct tailscale_node *node;
static char told[512];

static void setup(void)
{
	struct prefix prefix;

	ck_assert_int_eq(tailscale_nodes_new(&nodes), 0);
	node = tailscale_nodes_find(nodes, "k1");
	ck_assert_ptr_nonnull(node);
	node->here = node->has_tx = node->has_rx = true;
	node->path = DEVICE_PATH_DIRECT;
	ck_assert_int_eq(endpoint_parse("192.0.2.1:7", &node->endpoint), 0);
	ck_assert_int_eq(prefix_parse("fd7a::1", &prefix), 0);
	ck_assert_int_eq(prefix_list_add(&node->addresses, &prefix), 0);
	ck_assert_int_eq(prefix_parse("100.64.0.2", &prefix), 0);
	ck_assert_int_eq(prefix_list_add(&node->addresses, &prefix), 0);
}

static void teardown(void)
{
	tailscale_nodes_free(nodes);
}

static void take_event(const struct device_event *event, void *userdata)
{
	static const char *const names[] = {"active", "moved", "silent"};
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	(void)userdata;
	endpoint_format(&event->from_endpoint, from);
	endpoint_format(&event->endpoint, to);
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s %s>%s;", names[event->type], from, to);
}

static void at_region(const char *via, const char *endpoint)
{
	node->path = DEVICE_PATH_DERP;
	snprintf(node->via, sizeof(node->via), "%s", via);
	ck_assert_int_eq(endpoint_parse(endpoint, &node->endpoint), 0);
}

/* A reading at a time, in seconds. */
static void step(enum tailscale_step how, uint64_t tx, uint64_t rx, int64_t at)
{
	node->tx = tx;
	node->rx = rx;
	tailscale_account_step(nodes, how, at * SECOND, at * SECOND);
}

/* What a window's end hands over: "tx rx", and the events. */
static const char *extract(int64_t at)
{
	struct extraction extraction = {};
	static char text[800];

	*told = '\0';
	tailscale_account_extract(nodes, at * SECOND, &extraction, take_event, NULL);
	if (extraction.flows.n == 0) {
		snprintf(text, sizeof(text), "none %s", told);
	} else {
		char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];
		const struct flow *flow = extraction.flows.items;

		ck_assert_uint_eq(extraction.flows.n, 1);
		ck_assert(counts_equal(&flow->counts, &extraction.totals));
		ck_assert_uint_eq(flow->connection.proto, 0);
		endpoint_format(&flow->connection.src, src);
		endpoint_format(&flow->connection.dst, dst);
		snprintf(text, sizeof(text), "%s %s %llu %llu %s", src, dst,
			 (unsigned long long)flow->counts.tx_bytes, (unsigned long long)flow->counts.rx_bytes,
			 told);
	}
	extraction_deinit(&extraction);
	return text;
}

#define AT "100.64.0.2:0 192.0.2.1:7 "

START_TEST(differences)
{
	step(TAILSCALE_STEP_BASELINE, 100, 200, 1);
	ck_assert_str_eq(extract(1), "none ");
	step(TAILSCALE_STEP_GO_ON, 101, 200, 2);
	ck_assert_str_eq(extract(2), AT "1 0 ");
	/* Two readings in one window. */
	step(TAILSCALE_STEP_GO_ON, 103, 200, 3);
	step(TAILSCALE_STEP_GO_ON, 104, 200, 4);
	ck_assert_str_eq(extract(4), AT "3 0 ");
	/* Either one that went backwards is both anew. */
	step(TAILSCALE_STEP_GO_ON, 150, 20, 5);
	ck_assert_str_eq(extract(5), AT "150 20 active >192.0.2.1:7;");
	/* A counter that cannot be read stays where it was. */
	node->has_tx = false;
	step(TAILSCALE_STEP_GO_ON, 0, 21, 6);
	ck_assert_str_eq(extract(6), AT "0 1 ");
	node->has_tx = true;
	step(TAILSCALE_STEP_GO_ON, 155, 21, 7);
	ck_assert_str_eq(extract(7), AT "5 0 ");
	step(TAILSCALE_STEP_RESTARTED, 300, 21, 8);
	ck_assert_str_eq(extract(8), AT "300 21 ");
}
END_TEST

START_TEST(new_and_gone)
{
	step(TAILSCALE_STEP_GO_ON, 7, 0, 1);
	node->here = false;
	/* It counts in the window in which it was. */
	step(TAILSCALE_STEP_GO_ON, 9, 9, 2);
	ck_assert_str_eq(extract(2), AT "7 0 ");
	tailscale_nodes_forget(nodes, 0);
	node->here = true;
	step(TAILSCALE_STEP_GO_ON, 9, 0, 3);
	ck_assert_str_eq(extract(3), AT "2 0 ");
}
END_TEST

START_TEST(active_and_silent)
{
	node->last_handshake = 900 * SECOND;
	step(TAILSCALE_STEP_BASELINE, 0, 0, 1000);
	ck_assert(node->active);
	ck_assert_str_eq(extract(1079), "none ");
	ck_assert_str_eq(extract(1080), "none silent >192.0.2.1:7;");
	step(TAILSCALE_STEP_GO_ON, 1, 0, 1100);
	ck_assert_str_eq(extract(1100), AT "1 0 ");
	step(TAILSCALE_STEP_GO_ON, 1, 1, 1101);
	ck_assert_str_eq(extract(1101), AT "0 1 active >192.0.2.1:7;");
	ck_assert_int_eq(node->received_wall, 1101 * SECOND);
}
END_TEST

START_TEST(moved)
{
	step(TAILSCALE_STEP_BASELINE, 0, 0, 1);
	step(TAILSCALE_STEP_GO_ON, 1, 1, 2);
	extract(2);
	endpoint_parse("127.3.3.40:4", &node->endpoint);
	node->path = DEVICE_PATH_DERP;
	step(TAILSCALE_STEP_GO_ON, 1, 1, 3);
	ck_assert_str_eq(extract(3), "none ");
	step(TAILSCALE_STEP_GO_ON, 2, 1, 4);
	ck_assert_str_eq(extract(4), "100.64.0.2:0 127.3.3.40:4 1 0 moved 192.0.2.1:7>127.3.3.40:4;");
	/* Not known is not elsewhere. */
	node->path = DEVICE_PATH_UNKNOWN;
	node->endpoint = (struct endpoint){};
	step(TAILSCALE_STEP_GO_ON, 3, 1, 5);
	ck_assert_str_eq(extract(5), "100.64.0.2:0  1 0 ");
	endpoint_parse("127.3.3.40:4", &node->endpoint);
	node->path = DEVICE_PATH_DERP;
	step(TAILSCALE_STEP_GO_ON, 4, 1, 6);
	ck_assert_str_eq(extract(6), "100.64.0.2:0 127.3.3.40:4 1 0 ");
}
END_TEST

/* The map of regions came later, then one without that region. */
START_TEST(moved_between_regions)
{
	at_region("fra", "127.3.3.40:0");
	step(TAILSCALE_STEP_BASELINE, 0, 0, 1);
	step(TAILSCALE_STEP_GO_ON, 1, 1, 2);
	ck_assert_str_eq(extract(2), "100.64.0.2:0 127.3.3.40:0 1 1 active >127.3.3.40:0;");
	at_region("fra", "127.3.3.40:4");
	step(TAILSCALE_STEP_GO_ON, 2, 1, 3);
	ck_assert_str_eq(extract(3), "100.64.0.2:0 127.3.3.40:4 1 0 ");
	at_region("nyc", "127.3.3.40:0");
	step(TAILSCALE_STEP_GO_ON, 3, 1, 4);
	ck_assert_str_eq(extract(4), "100.64.0.2:0 127.3.3.40:0 1 0 moved 127.3.3.40:4>127.3.3.40:0;");
	at_region("lon", "127.3.3.40:0");
	step(TAILSCALE_STEP_GO_ON, 4, 1, 5);
	ck_assert_str_eq(extract(5), "100.64.0.2:0 127.3.3.40:0 1 0 moved 127.3.3.40:0>127.3.3.40:0;");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");
	TCase *cases = tcase_create("account");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, differences);
	tcase_add_test(cases, new_and_gone);
	tcase_add_test(cases, active_and_silent);
	tcase_add_test(cases, moved);
	tcase_add_test(cases, moved_between_regions);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
