/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VPN answers on its stats socket, split anywhere, against a reader that holds all of it in a tree.
 * The input is the stream, and the parameters of a reply.
 */

#include "common/buffer.h"
#include "common/details.h"
#include "daemon/device/stats_reply.h"
#include "tests/fuzz/fuzz_support.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define MAX_FLOWS 3
/* jansson goes 2048 brackets deep, counted from the beginning of what it is given. */
#define DEPTH_MAX 2000

static int feed(const char *data, size_t n, size_t piece, struct extraction *extraction)
{
	struct stats_reply reply = {.extraction = extraction, .max_flows = MAX_FLOWS};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i += piece)
		r = stats_reply_feed(&reply, data + i, n - i < piece ? n - i : piece);
	stats_reply_deinit(&reply);
	return r;
}

static uint64_t number(const json_t *object, const char *name, bool *wrong)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return 0;
	*wrong |= !json_is_integer(value) || json_integer_value(value) < 0;
	return (uint64_t)json_integer_value(value);
}

static bool wrong_end(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	struct endpoint endpoint;

	return !text || endpoint_parse(text, &endpoint) < 0;
}

static bool wrong_details(const json_t *object, bool *wrong)
{
	const json_t *init = json_object_get(object, "init");
	const char *text = json_string_value(init);

	return number(object, "starts", wrong) > UINT32_MAX || number(object, "ends", wrong) > UINT32_MAX ||
	       number(object, "txFlags", wrong) > UINT8_MAX || number(object, "rxFlags", wrong) > UINT8_MAX ||
	       (init && !json_is_null(init) &&
		(!text || json_string_length(init) != 3 ||
		 (memcmp(text, "src", 3) != 0 && memcmp(text, "dst", 3) != 0)));
}

static bool wrong_member(const json_t *object, const char *name, int type)
{
	const json_t *value = json_object_get(object, name);

	return value && !json_is_null(value) && (int)json_typeof(value) != type &&
	       !(type == JSON_TRUE && json_is_boolean(value));
}

/* 1 at the end, 0 when another part follows, -1 for invalid replies and errors. */
static int read_part(const char *data, size_t n, struct counts *totals)
{
	json_t *message = json_loadb(data, n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *connections, *object;
	bool wrong, more;
	size_t i;

	connections = json_object_get(json_object_get(message, "parameters"), "connections");
	wrong = !json_is_array(connections) || wrong_member(message, "error", JSON_NULL) ||
		wrong_member(message, "continues", JSON_TRUE);
	more = json_is_true(json_object_get(message, "continues"));
	json_array_foreach (connections, i, object) {
		bool no_proto = !json_is_integer(json_object_get(object, "proto"));
		struct counts counts = {
			.tx_packets = number(object, "txPkts", &wrong),
			.tx_bytes = number(object, "txBytes", &wrong),
			.rx_packets = number(object, "rxPkts", &wrong),
			.rx_bytes = number(object, "rxBytes", &wrong),
		};

		wrong |= no_proto || number(object, "proto", &wrong) > 255 || wrong_end(object, "src") ||
			 wrong_end(object, "dst") || wrong_details(object, &wrong);
		if (!wrong)
			counts_add(totals, &counts);
	}
	json_decref(message);
	return wrong ? -1 : !more;
}

static int read_whole(const char *data, size_t n, struct counts *totals)
{
	const char *end = data + n, *nul;
	int r = 0;

	while (r == 0 && (nul = memchr(data, '\0', (size_t)(end - data)))) {
		r = read_part(data, (size_t)(nul - data), totals);
		data = nul + 1;
	}
	return r == 1 && data < end ? -1 : r;
}

static void check(const char *data, size_t n)
{
	static const size_t pieces[] = {1, 7, SIZE_MAX / 2};
	struct counts totals = {};
	int expected = read_whole(data, n, &totals);

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct extraction extraction = {};
		int r = feed(data, n, pieces[i], &extraction);

		REQUIRE(r == 1 || r == 0 || r == -EBADMSG || r == -EREMOTEIO || r == -EMSGSIZE);
		/* An incomplete reply may already be invalid. */
		REQUIRE(r == -EMSGSIZE || (r < 0 ? expected <= 0 : r == expected));
		REQUIRE(r != 1 || counts_equal(&extraction.totals, &totals));
		REQUIRE(extraction.flows.n <= MAX_FLOWS);
		for (size_t j = 0; j < extraction.flows.n; j++)
			REQUIRE(!counts_is_zero(&extraction.flows.items[j].counts) ||
				!details_is_zero(&extraction.flows.items[j].details));
		extraction_deinit(&extraction);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer stream = {};
	size_t depth = 0;

	for (size_t i = 0; i < size; i++)
		depth += data[i] == '[' || data[i] == '{';
	if (depth > DEPTH_MAX)
		return 0;
	buffer_append(&stream, data, size);
	buffer_append_char(&stream, '\0');
	check(stream.data, stream.length - 1);
	check(stream.data, stream.length);
	buffer_reset(&stream);
	buffer_append_text(&stream, "{\"parameters\":");
	buffer_append(&stream, data, size);
	buffer_append(&stream, "}", 2);
	check(stream.data, stream.length);
	buffer_deinit(&stream);
	return 0;
}
