/* SPDX-License-Identifier: BSD-3-Clause */
/* Over rtnetlink. */

#include "daemon/device/interface.h"

#include "common/cleanup.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <net/if_arp.h>
#include <string.h>

#define ETHERNET_HEADER 14

/* Newer than some headers (include/uapi/linux/if_arp.h). */
enum { LINK_RAWIP = 519, LINK_IP6GRE = 823, LINK_NONE = 0xfffe };

int interface_open(struct interface *interface)
{
	return rtnl_new(&interface->rtnl);
}

void interface_close(struct interface *interface)
{
	rtnl_free(interface->rtnl);
	interface->rtnl = NULL;
}

static void take_counters(struct interface *interface, const struct rtnl_link *link)
{
	interface->rx_dropped = link->rx_dropped;
	interface->tx_dropped = link->tx_dropped;
	interface->tx_packets = link->tx_packets;
}

int interface_bind(struct interface *interface, const char *name)
{
	unsigned int l2_length;
	struct rtnl_link link;
	int r = rtnl_get_link(interface->rtnl, name, 0, &link);

	if (r < 0)
		return r;
	switch (link.type) {
	case LINK_NONE:
	case LINK_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_SLIP:
	case ARPHRD_CSLIP:
	case ARPHRD_SLIP6:
	case ARPHRD_CSLIP6:
	/* Tunnels of IP in IP, of their own kinds: the kernel hands on their packets from the IP header on.
	 */
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case LINK_IP6GRE:
		l2_length = 0;
		break;
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		l2_length = ETHERNET_HEADER;
		break;
	default:
		return -EOPNOTSUPP;
	}
	interface->index = link.index;
	interface->l2_length = l2_length;
	memcpy(interface->kind, link.kind, sizeof(interface->kind));
	take_counters(interface, &link);
	return 0;
}

int interface_refresh(struct interface *interface)
{
	struct rtnl_link link;
	int r = rtnl_get_link(interface->rtnl, NULL, interface->index, &link);

	if (r == 0)
		take_counters(interface, &link);
	return r;
}

int interface_find(const char *name, struct interface *ret_interface)
{
	struct interface interface = {};
	int r = interface_open(&interface);

	if (r == 0)
		r = interface_bind(&interface, name);
	interface_close(&interface);
	if (r == 0)
		*ret_interface = interface;
	return r;
}
