/* SPDX-License-Identifier: BSD-3-Clause */
/* Over rtnetlink, with a socket for each request: these are rare. */

#include "daemon/device/interface.h"

#include "common/cleanup.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <net/if_arp.h>

#define ETHERNET_HEADER 14

/* Newer than some headers (include/uapi/linux/if_arp.h). */
enum { LINK_RAWIP = 519, LINK_IP6GRE = 823, LINK_NONE = 0xfffe };

static int get_link(const char *name, unsigned int index, struct rtnl_link *ret_link)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	int r = rtnl_new(&rtnl);

	return r < 0 ? r : rtnl_get_link(rtnl, name, index, ret_link);
}

int interface_find(const char *name, struct interface *ret_interface)
{
	unsigned int l2_length;
	struct rtnl_link link;
	int r = get_link(name, 0, &link);

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
	*ret_interface = (struct interface){.index = link.index, .l2_length = l2_length};
	return 0;
}

int interface_get_drops(unsigned int index, uint64_t *ret_rx, uint64_t *ret_tx)
{
	struct rtnl_link link;
	int r = get_link(NULL, index, &link);

	if (r < 0)
		return r;
	*ret_rx = link.rx_dropped;
	*ret_tx = link.tx_dropped;
	return 0;
}
