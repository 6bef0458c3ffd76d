/*
 * An interface's index, kind and drop counters. By ioctl and rtnetlink and not by /sys, which shows the
 * network namespace that it was mounted in.
 */

#include "daemon/device/interface.h"

#include "common/cleanup.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

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
	_cleanup_close_ int fd = -1;
	struct ifreq request = {};
	unsigned int l2_length;
	int error;

	if (strlen(name) >= sizeof(request.ifr_name))
		return -ENODEV;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return -errno;
	error = interface_l2_length(request.ifr_hwaddr.sa_family, &l2_length);
	if (error < 0)
		return error;
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return -errno;
	*ret_interface =
		(struct interface){.index = (unsigned int)request.ifr_ifindex, .l2_length = l2_length};
	return 0;
}

static int interface_read_stats(const struct nlmsghdr *message, void *userdata)
{
	struct rtnl_link_stats64 *stats = userdata;
	const struct nlattr *attribute;

	mnl_attr_for_each (attribute, message, sizeof(struct ifinfomsg)) {
		size_t length = mnl_attr_get_payload_len(attribute);

		if (mnl_attr_get_type(attribute) == IFLA_STATS64)
			memcpy(stats, mnl_attr_get_payload(attribute), MIN(length, sizeof(*stats)));
	}
	return MNL_CB_OK;
}

static int interface_query(struct mnl_socket *netlink, unsigned int index,
			   struct rtnl_link_stats64 *ret_stats)
{
	_Alignas(struct nlmsghdr) char buffer[16384];
	struct timeval limit = {.tv_sec = 1};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;
	ssize_t length;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)index;
	setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	length = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));
	if (length < 0)
		return -errno;
	if (mnl_cb_run(buffer, (size_t)length, 1, mnl_socket_get_portid(netlink), interface_read_stats,
		       ret_stats) < 0)
		return -errno;
	return 0;
}

int interface_get_drops(unsigned int index, uint64_t *ret_rx, uint64_t *ret_tx)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct rtnl_link_stats64 stats = {};
	int error;

	if (!netlink)
		return -errno;
	error = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (error == 0)
		error = interface_query(netlink, index, &stats);
	mnl_socket_close(netlink);
	if (error < 0)
		return error;
	*ret_rx = stats.rx_dropped;
	*ret_tx = stats.tx_dropped;
	return 0;
}
