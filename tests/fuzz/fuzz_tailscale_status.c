/* SPDX-License-Identifier: BSD-3-Clause */
/* An answer of tailscaled: whatever it is, the daemon understands the lines that the helper makes of it; and
 * the same answer again has no news. */

#include "common/buffer.h"
#include "daemon/device/tailscale/reading.h"
#include "daemon/tailscale/derp_map.h"
#include "daemon/tailscale/status.h"
#include "tests/fuzz/fuzz_support.h"

static void on_ended(const struct tailscale_result *result, void *userdata)
{
	REQUIRE(!result->problem && result->number == 1);
	++*(unsigned int *)userdata;
}

static void check_lines(struct status *status, const struct buffer *lines)
{
	static const char begin[] = "{\"begin\":1,\"form\":1,\"server\":\"s\",\"whole\":true}\n";
	struct tailscale_reading *reading;
	struct tailscale_nodes *nodes;
	struct buffer end = {};
	unsigned int ends = 0;

	buffer_append_text(&end, "{\"end\":1");
	status_write_summary(status, &end);
	buffer_append_text(&end, "}\n");
	REQUIRE(tailscale_nodes_new(&nodes) == 0);
	REQUIRE(tailscale_reading_new(nodes, on_ended, &ends, &reading) == 0);
	REQUIRE(tailscale_reading_feed(reading, begin, strlen(begin)) == 0);
	REQUIRE(tailscale_reading_feed(reading, lines->data, lines->length) == 0);
	REQUIRE(tailscale_reading_feed(reading, end.data, end.length) == 0);
	REQUIRE(ends == 1);
	tailscale_reading_free(reading);
	tailscale_nodes_free(nodes);
	buffer_deinit(&end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct derp_map *derp = NULL;
	struct buffer lines = {};
	struct status *status;

	/* The same input may be a map of regions. */
	if (derp_map_read((const char *)data, size, &derp) == 0)
		REQUIRE(derp_map_count(derp) <= DERP_REGIONS_MAX);
	REQUIRE(status_new(&status) == 0);
	if (status_read(status, (const char *)data, size) == 0) {
		status_needs_regions(status, derp);
		REQUIRE(status_write(status, derp, &lines) == 0);
		check_lines(status, &lines);
		buffer_reset(&lines);
		REQUIRE(status_read(status, (const char *)data, size) == 0);
		REQUIRE(status_write(status, derp, &lines) == 0);
		REQUIRE(lines.length == 0);
	}
	status_free(status);
	derp_map_free(derp);
	buffer_deinit(&lines);
	return 0;
}
