/* SPDX-License-Identifier: BSD-3-Clause */
/* Single rtnetlink messages: whole, cut, and wrong. */

#include "daemon/net/rtnl_read.h"
#include "tests/unit/daemon/net/netlink_build.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

static void build_link(struct built *built)
{
	struct ifinfomsg *info = build(built, RTM_NEWLINK, sizeof(*info));
	struct rtnl_link_stats64 stats = {.rx_dropped = 3, .tx_dropped = 4};
	struct nlattr *nest;

	info->ifi_index = 5;
	info->ifi_type = 65534;
	mnl_attr_put_strz(built->message, IFLA_IFNAME, "wg0");
	mnl_attr_put_u32(built->message, IFLA_MASTER, 9);
	mnl_attr_put_u32(built->message, IFLA_LINK, 8);
	mnl_attr_put(built->message, IFLA_ADDRESS, 6, "\2\0\0\0\0\1");
	mnl_attr_put(built->message, IFLA_STATS64, sizeof(stats), &stats);
	nest = mnl_attr_nest_start(built->message, IFLA_LINKINFO);
	mnl_attr_put_strz(built->message, IFLA_INFO_KIND, "wireguard");
	mnl_attr_nest_end(built->message, nest);
}

START_TEST(link_message)
{
	struct rtnl_link link;
	struct built built;

	build_link(&built);
	ck_assert_int_eq(rtnl_read_link(built.message, &link), 0);
	ck_assert_uint_eq(link.index, 5);
	ck_assert_uint_eq(link.type, 65534);
	ck_assert_uint_eq(link.master, 9);
	ck_assert_uint_eq(link.lower, 8);
	ck_assert_str_eq(link.name, "wg0");
	ck_assert_str_eq(link.kind, "wireguard");
	ck_assert_mem_eq(link.mac, "\2\0\0\0\0\1", 6);
	ck_assert_uint_eq(link.rx_dropped, 3);
	ck_assert_uint_eq(link.tx_dropped, 4);
	/* The index of a link in another namespace means something else here. */
	mnl_attr_put_u32(built.message, IFLA_LINK_NETNSID, 1);
	ck_assert_int_eq(rtnl_read_link(built.message, &link), 0);
	ck_assert_uint_eq(link.lower, 0);
}
END_TEST

START_TEST(invalid_link_message)
{
	struct rtnl_link link;
	struct built built;
	struct ifinfomsg *info = build(&built, RTM_NEWLINK, sizeof(*info));

	ck_assert_int_eq(rtnl_read_link(built.message, &link), -EBADMSG); /* no index */
	info->ifi_index = 5;
	mnl_attr_put(built.message, IFLA_IFNAME, 20, "a name of more than 16");
	ck_assert_int_eq(rtnl_read_link(built.message, &link), -EBADMSG);
	info = build(&built, RTM_NEWLINK, sizeof(*info));
	info->ifi_index = 5;
	mnl_attr_put_u16(built.message, IFLA_MASTER, 9);
	ck_assert_int_eq(rtnl_read_link(built.message, &link), -EBADMSG);
	built.message->nlmsg_len = sizeof(struct nlmsghdr) + sizeof(*info) - 1;
	ck_assert_int_eq(rtnl_read_link(built.message, &link), -EBADMSG);
}
END_TEST

static int read_address(uint8_t length, const char *local, const char *other,
			struct rtnl_address *ret_address)
{
	struct built built;
	struct ifaddrmsg *info = build(&built, RTM_NEWADDR, sizeof(*info));
	uint8_t bytes[4];

	info->ifa_family = AF_INET;
	info->ifa_prefixlen = length;
	info->ifa_index = 3;
	info->ifa_scope = RT_SCOPE_LINK;
	if (local && inet_pton(AF_INET, local, bytes))
		mnl_attr_put(built.message, IFA_LOCAL, 4, bytes);
	if (other && inet_pton(AF_INET, other, bytes))
		mnl_attr_put(built.message, IFA_ADDRESS, 4, bytes);
	return rtnl_read_address(built.message, ret_address);
}

START_TEST(address_message)
{
	struct rtnl_address address;
	char text[PREFIX_TEXT_MAX];

	ck_assert_int_eq(read_address(10, "100.64.0.1", "100.64.0.1", &address), 0);
	ck_assert_uint_eq(address.index, 3);
	ck_assert_uint_eq(address.scope, RT_SCOPE_LINK);
	address_format(&address.local, text);
	ck_assert_str_eq(text, "100.64.0.1");
	prefix_format(&address.network, text);
	ck_assert_str_eq(text, "100.64.0.0/10");
	/* Point to point: the network is the other side. */
	ck_assert_int_eq(read_address(32, "10.0.0.1", "10.0.0.2", &address), 0);
	prefix_format(&address.network, text);
	ck_assert_str_eq(text, "10.0.0.2/32");
	ck_assert_int_eq(read_address(24, NULL, "10.0.0.2", &address), 0);
	address_format(&address.local, text);
	ck_assert_str_eq(text, "10.0.0.2");
	ck_assert_int_eq(read_address(24, NULL, NULL, &address), -EBADMSG);
	ck_assert_int_eq(read_address(33, "10.0.0.1", NULL, &address), -EBADMSG);
}
END_TEST

static void build_next_hops(struct built *built, unsigned short length)
{
	struct rtmsg *info = build(built, RTM_NEWROUTE, sizeof(*info));
	struct rtnexthop hops[2] = {{.rtnh_len = 8, .rtnh_ifindex = 4},
				    {.rtnh_len = length, .rtnh_ifindex = 5}};
	uint8_t bytes[4] = {10, 11, 0, 0};

	info->rtm_family = AF_INET;
	info->rtm_dst_len = 16;
	info->rtm_type = RTN_UNICAST;
	info->rtm_table = RT_TABLE_COMPAT;
	mnl_attr_put(built->message, RTA_DST, 4, bytes);
	mnl_attr_put_u32(built->message, RTA_TABLE, 1000);
	mnl_attr_put(built->message, RTA_MULTIPATH, sizeof(hops), hops);
}

START_TEST(route_message)
{
	struct rtnl_route route;
	struct built built;
	struct rtmsg *info;
	char text[PREFIX_TEXT_MAX];

	build_next_hops(&built, 8);
	ck_assert_int_eq(rtnl_read_route(built.message, 5, &route), 0);
	ck_assert_uint_eq(route.index, 5);
	ck_assert_uint_eq(route.table, 1000);
	prefix_format(&route.destination, text);
	ck_assert_str_eq(text, "10.11.0.0/16");
	ck_assert_int_eq(rtnl_read_route(built.message, 6, &route), 0);
	ck_assert_uint_eq(route.index, 0);
	for (unsigned short length = 0; length < 8; length++) {
		build_next_hops(&built, length);
		ck_assert_int_eq(rtnl_read_route(built.message, 5, &route), -EBADMSG);
	}
	build_next_hops(&built, 9);
	ck_assert_int_eq(rtnl_read_route(built.message, 5, &route), -EBADMSG);
	/* A default route has no destination. */
	info = build(&built, RTM_NEWROUTE, sizeof(*info));
	info->rtm_family = AF_INET6;
	mnl_attr_put_u32(built.message, RTA_OIF, 2);
	ck_assert_int_eq(rtnl_read_route(built.message, 0, &route), 0);
	prefix_format(&route.destination, text);
	ck_assert_str_eq(text, "::/0");
	info->rtm_dst_len = 129;
	ck_assert_int_eq(rtnl_read_route(built.message, 0, &route), -EBADMSG);
	info->rtm_dst_len = 0;
	info->rtm_family = AF_UNIX;
	ck_assert_int_eq(rtnl_read_route(built.message, 0, &route), -EBADMSG);
}
END_TEST

static void build_group(struct built *built)
{
	struct nexthop_grp members[2] = {{.id = 4}, {.id = 9}};

	build(built, RTM_NEWNEXTHOP, sizeof(struct nhmsg));
	mnl_attr_put_u32(built->message, NHA_ID, 7);
	mnl_attr_put(built->message, NHA_GROUP, sizeof(members), members);
}

START_TEST(nexthop_message)
{
	struct rtnl_nexthop nexthop;
	struct built built;

	build_group(&built);
	ck_assert_int_eq(rtnl_read_nexthop(built.message, &nexthop), 0);
	ck_assert_uint_eq(nexthop.id, 7);
	ck_assert(nexthop.is_group);
	ck_assert_uint_eq(nexthop.n_members, 2);
	ck_assert_uint_eq(rtnl_nexthop_member(&nexthop, 1), 9);
	build(&built, RTM_NEWNEXTHOP, sizeof(struct nhmsg));
	mnl_attr_put_u32(built.message, NHA_OIF, 3);
	ck_assert_int_eq(rtnl_read_nexthop(built.message, &nexthop), -EBADMSG);
	mnl_attr_put_u32(built.message, NHA_ID, 8);
	ck_assert_int_eq(rtnl_read_nexthop(built.message, &nexthop), 0);
	ck_assert_uint_eq(nexthop.index, 3);
	ck_assert(!nexthop.is_group);
	/* A bridge's entry carries no routes. */
	mnl_attr_put(built.message, NHA_FDB, 0, NULL);
	ck_assert_int_eq(rtnl_read_nexthop(built.message, &nexthop), 0);
	ck_assert_uint_eq(nexthop.index, 0);
	mnl_attr_put_u16(built.message, NHA_OIF, 3);
	ck_assert_int_eq(rtnl_read_nexthop(built.message, &nexthop), -EBADMSG);
}
END_TEST

/* Cut at every byte: no byte beyond the message is read, which the sanitizers would report. */
START_TEST(cut_anywhere)
{
	struct rtnl_address address;
	struct rtnl_route route;
	struct rtnl_nexthop nexthop;
	struct rtnl_link link;
	struct built built;

	for (int kind = 0; kind < 3; kind++) {
		size_t refused = 0, length;

		if (kind == 2)
			build_group(&built);
		else
			kind ? build_next_hops(&built, 8) : build_link(&built);
		length = built.message->nlmsg_len;
		for (size_t i = sizeof(struct nlmsghdr); i < length; i++) {
			struct nlmsghdr *copy = malloc(i);

			memcpy(copy, built.data, i);
			copy->nlmsg_len = (uint32_t)i;
			if (kind == 2)
				refused += rtnl_read_nexthop(copy, &nexthop) < 0;
			else
				refused += (kind ? rtnl_read_route(copy, 5, &route)
						 : rtnl_read_link(copy, &link)) < 0;
			rtnl_read_address(copy, &address);
			free(copy);
		}
		ck_assert_uint_gt(refused, 8);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rtnl_read");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, link_message);
	tcase_add_test(tcase, invalid_link_message);
	tcase_add_test(tcase, address_message);
	tcase_add_test(tcase, route_message);
	tcase_add_test(tcase, nexthop_message);
	tcase_add_test(tcase, cut_anywhere);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
