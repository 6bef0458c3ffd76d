/*
 * The parser of what a VPN says about its own connections. It may be wrong in any way, so one entry that
 * makes no sense makes the whole reply nonsense: half of a wrong answer is no better.
 */

#include "daemon/device/stats_reply.h"

#include <errno.h>

static int read_count(const json_t *object, const char *name, uint64_t *ret_count)
{
	const json_t *value = json_object_get(object, name);

	*ret_count = 0;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -EBADMSG;
	*ret_count = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_end(const json_t *object, const char *name, struct endpoint *ret_endpoint)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && endpoint_parse(text, ret_endpoint) == 0 ? 0 : -EBADMSG;
}

static int read_connection(const json_t *object, struct flow *ret_flow)
{
	const json_t *proto = json_object_get(object, "proto");
	struct flow flow = {};

	if (!json_is_integer(proto) || json_integer_value(proto) < 0 || json_integer_value(proto) > 255 ||
	    read_end(object, "src", &flow.connection.src) < 0 ||
	    read_end(object, "dst", &flow.connection.dst) < 0 ||
	    read_count(object, "txPkts", &flow.counts.tx_packets) < 0 ||
	    read_count(object, "txBytes", &flow.counts.tx_bytes) < 0 ||
	    read_count(object, "rxPkts", &flow.counts.rx_packets) < 0 ||
	    read_count(object, "rxBytes", &flow.counts.rx_bytes) < 0)
		return -EBADMSG;
	flow.connection.proto = (uint8_t)json_integer_value(proto);
	*ret_flow = flow;
	return 0;
}

int stats_reply_read(const json_t *parameters, uint32_t max_flows, struct extraction *extraction)
{
	const json_t *connections = json_object_get(parameters, "connections"), *object;
	struct flow flow;
	size_t i;
	int r = 0;

	if (!json_is_array(connections))
		return -EBADMSG;
	json_array_foreach (connections, i, object) {
		r = read_connection(object, &flow);
		if (r == 0 && !counts_is_zero(&flow.counts)) {
			counts_add(&extraction->totals, &flow.counts);
			if (extraction->flows.n < max_flows)
				r = flows_add(&extraction->flows, &flow.connection, &flow.counts);
			else
				counts_add(&extraction->overflow, &flow.counts);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
