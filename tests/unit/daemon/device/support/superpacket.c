/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds large segments as a virtual machine or a packet socket would hand them over. */

#include "tests/unit/daemon/device/support/superpacket.h"

#include <string.h>

/* linux/virtio_net.h of newer kernels. */
#define GSO_UDP_L4 5

const struct superpacket_options superpackets[] = {
	{.name = "tcp ipv4", .size = 1400, .payload = 60000},
	{.name = "tcp ipv4, payload a multiple", .size = 1400, .payload = 14000},
	{.name = "tcp ipv4, one byte more", .size = 1400, .payload = 14001},
	{.name = "tcp ipv4, small packets", .size = 100, .payload = 5003},
	{.name = "tcp ipv4, tcp options", .tcp_options = 12, .size = 1388, .payload = 40000},
	{.name = "tcp ipv4, ip options", .options = 8, .size = 1380, .payload = 30001},
	{.name = "tcp ipv4, all options", .options = 40, .tcp_options = 40, .size = 512, .payload = 20000},
	{.name = "tcp ipv6", .ipv6 = true, .size = 1380, .payload = 60000},
	{.name = "tcp ipv6, tcp options", .ipv6 = true, .tcp_options = 20, .size = 1360, .payload = 44444},
	{.name = "tcp ipv6, extension header", .ipv6 = true, .options = 8, .size = 1372, .payload = 33333},
	{.name = "tcp ipv6, extension headers",
	 .ipv6 = true,
	 .options = 24,
	 .tcp_options = 12,
	 .size = 1000,
	 .payload = 9999},
	{.name = "udp ipv4", .udp = true, .size = 1200, .payload = 36000},
	{.name = "udp ipv4, odd last", .udp = true, .size = 1200, .payload = 36001},
	{.name = "udp ipv4, ip options", .udp = true, .options = 16, .size = 700, .payload = 7100},
	{.name = "udp ipv6", .ipv6 = true, .udp = true, .size = 1200, .payload = 20000},
	{.name = "udp ipv6, extension header",
	 .ipv6 = true,
	 .udp = true,
	 .options = 16,
	 .size = 1100,
	 .payload = 12345},
};
const size_t n_superpackets = sizeof(superpackets) / sizeof(superpackets[0]);

static void put16(uint8_t *bytes, size_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static size_t make_ipv4(uint8_t *bytes, const struct superpacket_options *options, size_t length)
{
	static const uint8_t addresses[8] = {100, 64, 0, 1, 100, 64, 0, 2};

	bytes[0] = (uint8_t)(0x45 + options->options / 4);
	put16(bytes + 2, length);
	bytes[6] = 0x40;
	bytes[8] = 64;
	bytes[9] = options->udp ? 17 : 6;
	memcpy(bytes + 12, addresses, sizeof(addresses));
	memset(bytes + 20, 1, options->options);
	return 20U + options->options;
}

static size_t make_ipv6(uint8_t *bytes, const struct superpacket_options *options, size_t length)
{
	uint8_t *next = &bytes[6];
	size_t offset = 40;

	bytes[0] = 0x60;
	put16(bytes + 4, length - 40);
	bytes[7] = 64;
	bytes[8] = bytes[24] = 0xfd;
	bytes[23] = 1;
	bytes[39] = 2;
	/* Destination options of 8 bytes each, filled by a PadN. */
	for (; offset < 40U + options->options; offset += 8) {
		*next = 60;
		next = &bytes[offset];
		bytes[offset + 2] = 1;
		bytes[offset + 3] = 4;
	}
	*next = options->udp ? 17 : 6;
	return offset;
}

void superpacket_make(struct superpacket *packet, const struct superpacket_options *options)
{
	size_t ip = (options->ipv6 ? 40U : 20U) + options->options;
	size_t transport = options->udp ? 8U : 20U + options->tcp_options;
	uint8_t *header = packet->bytes + ip;

	memset(packet, 0, sizeof(*packet));
	packet->headers = ip + transport;
	packet->length = packet->headers + options->payload;
	if (options->ipv6)
		make_ipv6(packet->bytes, options, packet->length);
	else
		make_ipv4(packet->bytes, options, packet->length);
	put16(header, 4000);
	put16(header + 2, 5000);
	if (options->udp) {
		put16(header + 4, 8 + options->payload);
	} else {
		header[12] = (uint8_t)(transport / 4 << 4);
		header[13] = 0x10;
		memset(header + 20, 1, options->tcp_options);
	}
	packet->header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = (uint8_t)(options->udp    ? GSO_UDP_L4
				      : options->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
						      : VIRTIO_NET_HDR_GSO_TCPV4),
		.hdr_len = (uint16_t)packet->headers,
		.gso_size = options->size,
		.csum_start = (uint16_t)ip,
		.csum_offset = options->udp ? 6 : 16,
	};
}
