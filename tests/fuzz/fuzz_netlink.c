/* SPDX-License-Identifier: BSD-3-Clause */
/* A netlink datagram: the first message says whose answer it is, each message goes to every parser of its
 * kind. */

#include "daemon/device/peers/netlink_format.h"
#include "daemon/net/netlink.h"
#include "daemon/net/rtnl_read.h"
#include "tests/fuzz/fuzz_support.h"

#include <linux/rtnetlink.h>

static int take(const struct nlmsghdr *message, void *userdata)
{
	struct wg_peers *peers = userdata;
	struct rtnl_address address;
	struct rtnl_nexthop nexthop;
	struct rtnl_route route;
	struct rtnl_link link;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
		if (rtnl_read_link(message, &link) == 0) {
			REQUIRE(link.index > 0);
			REQUIRE(memchr(link.name, 0, sizeof(link.name)));
			REQUIRE(memchr(link.kind, 0, sizeof(link.kind)));
		}
		return 0;
	case RTM_NEWADDR:
		if (rtnl_read_address(message, &address) == 0)
			REQUIRE(address.network.length <= address_bits(&address.local));
		return 0;
	case RTM_NEWNEXTHOP:
		if (rtnl_read_nexthop(message, &nexthop) == 0 && nexthop.n_members > 0)
			rtnl_nexthop_member(&nexthop, nexthop.n_members - 1);
		return 0;
	case RTM_NEWROUTE:
		if (rtnl_read_route(message, 5, &route) == 0)
			REQUIRE(route.destination.length <= address_bits(&route.destination.address));
		return 0;
	}
	return wg_netlink_read(message, peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netlink_answer answer = {.dump = true};
	struct wg_peers peers = {};
	struct nlmsghdr *copy = malloc(size + 1);

	REQUIRE(copy);
	memcpy(copy, data, size);
	if (size >= sizeof(*copy)) {
		answer.sequence = copy->nlmsg_seq;
		answer.port = copy->nlmsg_pid;
	}
	REQUIRE(netlink_answer_read(&answer, copy, size, take, &peers) <= 0);
	for (size_t i = 0; i < peers.n; i++)
		for (size_t j = 0; j < peers.items[i].allowed_ips.n; j++) {
			const struct prefix *prefix = &peers.items[i].allowed_ips.items[j];

			REQUIRE(prefix->length <= address_bits(&prefix->address));
		}
	wg_peers_sort(&peers);
	wg_peers_deinit(&peers);
	free(copy);
	return 0;
}
