/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Large segments made by hand: a buffer that stands for many packets, with its virtio_net_hdr. */

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUPERPACKET_MAX 65536

struct superpacket_options {
	const char *name;
	bool ipv6;
	bool udp;
	uint16_t options;     /* bytes of IPv4 options, or of IPv6 extension headers: a multiple of 8 */
	uint16_t tcp_options; /* bytes, a multiple of 4 */
	uint16_t size;	      /* payload of each packet but the last */
	uint32_t payload;
};

struct superpacket {
	struct virtio_net_hdr header;
	size_t length;
	size_t headers; /* bytes through the transport header */
	uint8_t bytes[SUPERPACKET_MAX];
};

void superpacket_make(struct superpacket *packet, const struct superpacket_options *options);

extern const struct superpacket_options superpackets[];
extern const size_t n_superpackets;
