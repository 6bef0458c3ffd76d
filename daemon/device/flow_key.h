/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A connection as the counting programs note it, in the daemon's own form. */

#include "common/connection.h"
#include "daemon/bpf/flow.h"

#include <arpa/inet.h>

/* Inline and filled in place, since it is done for every entry and every packet. */
static inline void flow_key_read(const struct flow_key *key, struct connection *ret_connection)
{
	*ret_connection = (struct connection){.proto = key->proto};
	switch (key->family) {
	case 4:
		ret_connection->src.address = address_ipv4((const uint8_t *)key->src);
		ret_connection->dst.address = address_ipv4((const uint8_t *)key->dst);
		break;
	case 6:
		ret_connection->src.address = address_ipv6((const uint8_t *)key->src);
		ret_connection->dst.address = address_ipv6((const uint8_t *)key->dst);
		break;
	}
	ret_connection->src.port = ntohs(key->src_port);
	ret_connection->dst.port = ntohs(key->dst_port);
}
