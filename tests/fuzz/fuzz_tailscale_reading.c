/* SPDX-License-Identifier: BSD-3-Clause */
/* The helper's lines: the same nodes and counts in whatever pieces they arrive. */

#include "daemon/device/tailscale/account.h"
#include "daemon/device/tailscale/reading.h"
#include "tests/fuzz/fuzz_support.h"

static void on_ended(const struct tailscale_result *result, void *userdata)
{
	REQUIRE(result->state && result->server && (!result->problem || result->reason));
	tailscale_account_step(userdata, TAILSCALE_STEP_GO_ON, 1, 1);
	tailscale_nodes_forget(userdata, INT64_MAX);
}

static void on_event(const struct device_event *event, void *userdata)
{
	(void)userdata;
	REQUIRE(event->id && event->name);
}

static int read_all(const uint8_t *data, size_t size, size_t step, struct tailscale_nodes *nodes,
		    struct counts *ret_sum)
{
	struct extraction extraction = {};
	struct tailscale_reading *reading;
	int r = 0;

	REQUIRE(tailscale_reading_new(nodes, on_ended, nodes, &reading) == 0);
	for (size_t i = 0; i < size && r == 0; i += step)
		r = tailscale_reading_feed(reading, (const char *)data + i, MIN(step, size - i));
	tailscale_account_extract(nodes, 2, &extraction, on_event, NULL);
	*ret_sum = extraction.totals;
	extraction_deinit(&extraction);
	tailscale_reading_free(reading);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tailscale_nodes *whole, *pieces;
	struct counts sum_whole, sum_pieces;

	REQUIRE(tailscale_nodes_new(&whole) == 0 && tailscale_nodes_new(&pieces) == 0);
	REQUIRE(read_all(data, size, size + 1, whole, &sum_whole) ==
		read_all(data, size, 3, pieces, &sum_pieces));
	REQUIRE(tailscale_nodes_count(whole) == tailscale_nodes_count(pieces));
	REQUIRE(counts_equal(&sum_whole, &sum_pieces));
	tailscale_nodes_free(whole);
	tailscale_nodes_free(pieces);
	return 0;
}
