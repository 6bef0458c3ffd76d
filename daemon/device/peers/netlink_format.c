/* SPDX-License-Identifier: BSD-3-Clause */
/* Each attribute is accepted only with its exact size. Attributes that hold keys are never read. */

#include "daemon/device/peers/netlink_format.h"

#include "common/time_text.h"
#include "daemon/net/netlink_attributes.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>

static int read_endpoint(const struct nlattr *attr, struct wg_peer *peer)
{
	struct endpoint endpoint;
	unsigned int link = 0;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (netlink_attribute_get(attr, &in, sizeof(in)) == 0 && in.sin_family == AF_INET) {
		endpoint.address = address_ipv4((const uint8_t *)&in.sin_addr);
		endpoint.port = ntohs(in.sin_port);
	} else if (netlink_attribute_get(attr, &in6, sizeof(in6)) == 0 && in6.sin6_family == AF_INET6) {
		endpoint.address = address_ipv6(in6.sin6_addr.s6_addr);
		endpoint.port = ntohs(in6.sin6_port);
		link = in6.sin6_scope_id;
	} else {
		return -EBADMSG;
	}
	wg_peer_set_endpoint(peer, &endpoint, link);
	return 0;
}

static int read_handshake(const struct nlattr *attr, int64_t *ret_time)
{
	struct {
		int64_t seconds;
		int64_t nanoseconds;
	} time;
	int r = netlink_attribute_get(attr, &time, sizeof(time));

	if (r < 0)
		return r;
	if (time.seconds < 0 || time.seconds > INT64_MAX / NSEC_PER_SEC - 1 || time.nanoseconds < 0 ||
	    time.nanoseconds >= NSEC_PER_SEC)
		return -EBADMSG;
	*ret_time = time.seconds * NSEC_PER_SEC + time.nanoseconds;
	return 0;
}

static int read_allowed_ip(const struct nlattr *outer, struct prefix *ret_prefix)
{
	struct netlink_attributes attributes = netlink_attributes_in(outer);
	const struct nlattr *attr, *address = NULL;
	uint16_t family = 0;
	uint8_t bytes[16];
	int r;

	*ret_prefix = (struct prefix){};
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case WGALLOWEDIP_A_FAMILY:
			r = netlink_attribute_get(attr, &family, sizeof(family));
			break;
		case WGALLOWEDIP_A_CIDR_MASK:
			r = netlink_attribute_get(attr, &ret_prefix->length, sizeof(ret_prefix->length));
			break;
		case WGALLOWEDIP_A_IPADDR:
			address = attr;
			break;
		}
		if (r < 0)
			return r;
	}
	if (r < 0 || !address)
		return -EBADMSG;
	if (family == AF_INET && netlink_attribute_get(address, bytes, 4) == 0)
		ret_prefix->address = address_ipv4(bytes);
	else if (family == AF_INET6 && netlink_attribute_get(address, bytes, 16) == 0)
		ret_prefix->address = address_ipv6(bytes);
	return ret_prefix->address.family && ret_prefix->length <= address_bits(&ret_prefix->address)
		       ? 0
		       : -EBADMSG;
}

static int read_allowed_ips(const struct nlattr *list, struct wg_peers *peers, struct wg_peer *peer)
{
	struct netlink_attributes attributes = netlink_attributes_in(list);
	const struct nlattr *attr;
	struct prefix prefix;
	int r;

	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		r = read_allowed_ip(attr, &prefix);
		if (r == 0)
			r = wg_peers_add_allowed_ip(peers, peer, &prefix);
		if (r < 0)
			return r;
	}
	return r;
}

static int read_peer(const struct nlattr *outer, struct wg_peers *peers)
{
	struct netlink_attributes attributes = netlink_attributes_in(outer);
	struct wg_peer *peer = peers->n ? &peers->items[peers->n - 1] : NULL;
	const struct nlattr *attr;
	uint8_t key[WG_PEERS_KEY_SIZE];
	int r;

	/* First the public key, which says whether the last message's peer continues. */
	do {
		r = netlink_attributes_next(&attributes, &attr);
		if (r <= 0)
			return -EBADMSG;
	} while (mnl_attr_get_type(attr) != WGPEER_A_PUBLIC_KEY);
	r = netlink_attribute_get(attr, key, sizeof(key));
	if (r < 0)
		return r;
	if (!peer || memcmp(peer->public_key, key, sizeof(key)) != 0) {
		peer = wg_peers_add(peers, &r);
		if (!peer)
			return r;
		memcpy(peer->public_key, key, sizeof(key));
	}
	attributes = netlink_attributes_in(outer);
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case WGPEER_A_ENDPOINT:
			r = read_endpoint(attr, peer);
			break;
		case WGPEER_A_RX_BYTES:
			r = netlink_attribute_get(attr, &peer->rx_bytes, sizeof(peer->rx_bytes));
			break;
		case WGPEER_A_TX_BYTES:
			r = netlink_attribute_get(attr, &peer->tx_bytes, sizeof(peer->tx_bytes));
			break;
		case WGPEER_A_LAST_HANDSHAKE_TIME:
			r = read_handshake(attr, &peer->last_handshake);
			break;
		case WGPEER_A_ALLOWEDIPS:
			r = read_allowed_ips(attr, peers, peer);
			break;
		}
		if (r < 0)
			return r;
	}
	return r;
}

static int read_peers(const struct nlattr *list, struct wg_peers *peers)
{
	struct netlink_attributes attributes = netlink_attributes_in(list);
	const struct nlattr *attr;
	int r;

	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		r = read_peer(attr, peers);
		if (r < 0)
			return r;
	}
	return r;
}

int wg_netlink_read(const struct nlmsghdr *message, struct wg_peers *peers)
{
	struct netlink_attributes attributes;
	const struct nlattr *attr;
	int r;

	r = netlink_attributes_of(message, sizeof(struct genlmsghdr), &attributes);
	if (r < 0)
		return r;
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case WGDEVICE_A_LISTEN_PORT:
			r = netlink_attribute_get(attr, &peers->listen_port, sizeof(peers->listen_port));
			break;
		case WGDEVICE_A_FWMARK:
			r = netlink_attribute_get(attr, &peers->fwmark, sizeof(peers->fwmark));
			break;
		case WGDEVICE_A_PEERS:
			r = read_peers(attr, peers);
			break;
		}
		if (r < 0)
			return r;
	}
	return r;
}
