/* SPDX-License-Identifier: BSD-3-Clause */
/* Which interfaces can be counted, and where a packet's IP header lies on them. */

#include "daemon/device/interface.h"

#include "common/cleanup.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <net/if_arp.h>

#define ETHERNET_HEADER 14

/* Values newer than some headers. */
enum { TYPE_NONE = 0xfffe, TYPE_RAWIP = 519 };

static int interface_l2_length(unsigned int type, unsigned int *ret_length)
{
	switch (type) {
	case TYPE_NONE:
	case TYPE_RAWIP:
	case ARPHRD_PPP:
		*ret_length = 0;
		return 0;
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		*ret_length = ETHERNET_HEADER;
		return 0;
	}
	return -EOPNOTSUPP;
}

int interface_find(const char *name, struct interface *ret_interface)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	unsigned int l2_length = 0;
	struct rtnl_link link;
	int error;

	error = rtnl_new(&rtnl);
	if (error == 0)
		error = rtnl_get_link(rtnl, name, 0, &link);
	if (error == 0)
		error = interface_l2_length(link.type, &l2_length);
	if (error < 0)
		return error;
	*ret_interface = (struct interface){.index = link.index, .l2_length = l2_length};
	return 0;
}

int interface_get_drops(unsigned int index, uint64_t *ret_rx, uint64_t *ret_tx)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link;
	int error;

	error = rtnl_new(&rtnl);
	if (error == 0)
		error = rtnl_get_link(rtnl, NULL, index, &link);
	if (error < 0)
		return error;
	*ret_rx = link.rx_dropped;
	*ret_tx = link.tx_dropped;
	return 0;
}
