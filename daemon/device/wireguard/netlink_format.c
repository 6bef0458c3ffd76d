/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages in which the kernel tells a WireGuard interface's peers (linux/wireguard.h). Each attribute is
 * taken only with the size it must have; keys that are secret are never looked at.
 */

#include "daemon/device/wireguard/peers.h"

#include "daemon/net/netlink_attributes.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>

static int read_endpoint(const struct nlattr *attr, struct endpoint *ret_endpoint)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (netlink_attribute_get(attr, &in, sizeof(in)) == 0 && in.sin_family == AF_INET) {
		ret_endpoint->address = address_ipv4((const uint8_t *)&in.sin_addr);
		ret_endpoint->port = ntohs(in.sin_port);
		return 0;
	}
	if (netlink_attribute_get(attr, &in6, sizeof(in6)) == 0 && in6.sin6_family == AF_INET6) {
		ret_endpoint->address = address_ipv6(in6.sin6_addr.s6_addr);
		ret_endpoint->port = ntohs(in6.sin6_port);
		return 0;
	}
	return -EBADMSG;
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
	if (time.seconds < 0 || time.seconds > INT64_MAX / 1000000000 - 1 || time.nanoseconds < 0 ||
	    time.nanoseconds > 999999999)
		return -EBADMSG;
	*ret_time = time.seconds * 1000000000 + time.nanoseconds;
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

static int read_peer_attribute(const struct nlattr *attr, struct wg_peers *peers, struct wg_peer *peer)
{
	switch (mnl_attr_get_type(attr)) {
	case WGPEER_A_ENDPOINT:
		return read_endpoint(attr, &peer->endpoint);
	case WGPEER_A_RX_BYTES:
		return netlink_attribute_get(attr, &peer->rx_bytes, sizeof(peer->rx_bytes));
	case WGPEER_A_TX_BYTES:
		return netlink_attribute_get(attr, &peer->tx_bytes, sizeof(peer->tx_bytes));
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		return read_handshake(attr, &peer->last_handshake);
	case WGPEER_A_ALLOWEDIPS:
		return read_allowed_ips(attr, peers, peer);
	default:
		return 0;
	}
}

/* The public key decides whose peer it is, so it is looked for first. */
static int find_public_key(const struct nlattr *outer, uint8_t *ret_key)
{
	struct netlink_attributes attributes = netlink_attributes_in(outer);
	const struct nlattr *attr;
	int r;

	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		if (mnl_attr_get_type(attr) == WGPEER_A_PUBLIC_KEY)
			return netlink_attribute_get(attr, ret_key, WG_PEERS_KEY_SIZE);
	}
	return -EBADMSG;
}

static int read_peer(const struct nlattr *outer, struct wg_peers *peers)
{
	struct netlink_attributes attributes = netlink_attributes_in(outer);
	const struct nlattr *attr;
	uint8_t key[WG_PEERS_KEY_SIZE];
	struct wg_peer *peer = peers->n ? &peers->items[peers->n - 1] : NULL;
	int r = find_public_key(outer, key);

	if (r < 0)
		return r;
	if (!peer || memcmp(peer->public_key, key, sizeof(key)) != 0) {
		peer = wg_peers_add(peers, &r);
		if (!peer)
			return r;
		memcpy(peer->public_key, key, sizeof(key));
	}
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		r = read_peer_attribute(attr, peers, peer);
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
