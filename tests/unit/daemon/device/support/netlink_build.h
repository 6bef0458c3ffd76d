/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Netlink messages made by hand, as the kernel would send them, and wrong in one place where asked for. */

#include "daemon/device/wireguard/peers.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>

struct built {
	char data[4096] __attribute__((aligned(8)));
	struct nlmsghdr *message;
};

static inline void *build(struct built *built, uint16_t type, size_t header)
{
	memset(built, 0, sizeof(*built));
	built->message = mnl_nlmsg_put_header(built->data);
	built->message->nlmsg_type = type;
	built->message->nlmsg_seq = 7;
	built->message->nlmsg_pid = 42;
	return mnl_nlmsg_put_extra_header(built->message, header);
}

static inline void build_device(struct built *built)
{
	build(built, 30, sizeof(struct genlmsghdr));
	mnl_attr_put_u16(built->message, WGDEVICE_A_LISTEN_PORT, 51820);
	mnl_attr_put_u32(built->message, WGDEVICE_A_FWMARK, 0xca6c);
}

static inline struct nlattr *build_peer(struct built *built, uint8_t key)
{
	struct nlattr *peer = mnl_attr_nest_start(built->message, 0);
	uint8_t bytes[WG_KEY_LEN];

	memset(bytes, key, sizeof(bytes));
	mnl_attr_put(built->message, WGPEER_A_PUBLIC_KEY, sizeof(bytes), bytes);
	return peer;
}

static inline void build_counters(struct built *built, uint64_t rx, uint64_t tx, const char *address,
				  uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int64_t handshake[2] = {1700000000, 5};

	inet_pton(AF_INET, address, &in.sin_addr);
	mnl_attr_put(built->message, WGPEER_A_ENDPOINT, sizeof(in), &in);
	mnl_attr_put_u64(built->message, WGPEER_A_RX_BYTES, rx);
	mnl_attr_put_u64(built->message, WGPEER_A_TX_BYTES, tx);
	mnl_attr_put(built->message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof(handshake), handshake);
}

static inline void build_allowed_ip(struct built *built, const char *address, uint8_t length)
{
	struct nlattr *nest = mnl_attr_nest_start(built->message, 0);
	uint16_t family = strchr(address, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16];

	inet_pton(family, address, bytes);
	mnl_attr_put_u16(built->message, WGALLOWEDIP_A_FAMILY, family);
	mnl_attr_put(built->message, WGALLOWEDIP_A_IPADDR, family == AF_INET ? 4 : 16, bytes);
	mnl_attr_put_u8(built->message, WGALLOWEDIP_A_CIDR_MASK, length);
	mnl_attr_nest_end(built->message, nest);
}
