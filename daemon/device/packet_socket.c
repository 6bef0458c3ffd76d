/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring of one packet socket. It is opened such that no foreign packet gets in: a socket of protocol 0
 * captures nothing; it gets its filter and ring first, and then the interface and the protocol. Its first
 * filter passes nothing. Capturing begins with one that passes one direction, and of each packet only what
 * the decoder reads; it ends with one that passes nothing again. Both are a matter of microseconds.
 */

#include "daemon/device/packet_socket.h"

#include "common/cleanup.h"
#include "common/time_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BLOCK_SIZE   (512U * 1024)
#define BLOCKS	     (PACKET_SOCKET_RING / BLOCK_SIZE)
#define FRAME_SIZE   2048 /* the kernel requires a number, though it divides blocks as needed */
#define RETIRE_MS    20
#define SHORT_LENGTH 192 /* Ethernet with a tag, IPv4 and TCP with all their options, and some */
#define FULL_LENGTH  0x40000

/* linux/virtio_net.h of newer kernels. */
#define GSO_UDP_L4 5

/* IPv6 packets with extension headers and tagged ones are captured whole, of others the beginning. */
int packet_socket_start(struct packet_socket *packet)
{
	const unsigned int ip = packet->l2_length;
	/* Jumps count from the next instruction on. The last three are: the beginning, all, nothing. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, packet->received ? 17 : 0,
			 packet->received ? 0 : 17),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ip + 40, 0, 13),
		BPF_STMT(BPF_LD | BPF_IMM, ip),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 10, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021AD, 9, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_HOPOPTS, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ROUTING, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_FRAGMENT, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_DSTOPTS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SHORT_LENGTH),
		BPF_STMT(BPF_RET | BPF_K, FULL_LENGTH),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(packet->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int packet_socket_stop(struct packet_socket *packet)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(packet->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int packet_socket_bind(struct packet_socket *packet, unsigned int ifindex, unsigned int l2_length)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)ifindex};

	packet->l2_length = l2_length;
	return bind(packet->fd, (const struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

int packet_socket_open(struct packet_socket *packet, bool received)
{
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_SIZE,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = FRAME_SIZE,
		.tp_frame_nr = BLOCK_SIZE / FRAME_SIZE * BLOCKS,
		.tp_retire_blk_tov = RETIRE_MS,
	};
	int version = TPACKET_V3, on = 1, r;
	void *ring;

	*packet = (struct packet_socket){.received = received};
	packet->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (packet->fd < 0)
		return -errno;
	r = packet_socket_stop(packet);
	if (r == 0 && (setsockopt(packet->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		       setsockopt(packet->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
		       setsockopt(packet->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request))))
		r = -errno;
	if (r == 0) {
		ring = mmap(NULL, PACKET_SOCKET_RING, PROT_READ | PROT_WRITE, MAP_SHARED, packet->fd, 0);
		if (ring == MAP_FAILED)
			r = -errno;
		else
			packet->ring = ring;
	}
	if (r < 0)
		packet_socket_close(packet);
	return r;
}

void packet_socket_close(struct packet_socket *packet)
{
	if (packet->ring)
		munmap(packet->ring, PACKET_SOCKET_RING);
	packet->ring = NULL;
	packet->fd = safe_close(packet->fd);
}

int packet_socket_update(struct packet_socket *packet)
{
	struct tpacket_stats_v3 statistics = {};
	socklen_t length = sizeof(statistics);

	/* Reading them sets them to zero; tp_packets includes the dropped ones. */
	if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length))
		return -errno;
	packet->captured += statistics.tp_packets - statistics.tp_drops;
	packet->dropped += statistics.tp_drops;
	return 0;
}

int packet_socket_check(const struct packet_socket *packet, unsigned int ifindex)
{
	struct sockaddr_ll address;
	socklen_t length = sizeof(address);

	if (getsockname(packet->fd, (struct sockaddr *)&address, &length))
		return -errno;
	return address.sll_ifindex == (int)ifindex ? 0 : -ENODEV;
}

/* VLAN tags in a frame that are stepped over; the kernel keeps one more beside it. */
#define MAX_TAGS 2

static unsigned int read_type(const uint8_t *type)
{
	return (unsigned int)type[0] << 8 | type[1];
}

/* Makes the decoder's input of a frame in the ring. */
static void frame_read(const struct packet_socket *packet, const struct tpacket3_hdr *frame,
		       struct decode_input *ret_input)
{
	const uint8_t *data = (const uint8_t *)frame + frame->tp_mac;
	size_t skipped = packet->l2_length, captured = frame->tp_snaplen, length = frame->tp_len;
	struct virtio_net_hdr header;
	const struct sockaddr_ll *address =
		(const void *)((const uint8_t *)frame + TPACKET_ALIGN(sizeof(*frame)));
	unsigned int type = ntohs(address->sll_protocol);
	bool ip;

	if (skipped > 0)
		type = captured >= skipped ? read_type(data + 12) : 0;
	for (unsigned int i = 0; i < MAX_TAGS && skipped > 0; i++) {
		if ((type != ETH_P_8021Q && type != ETH_P_8021AD) || captured < skipped + 4)
			break;
		skipped += 4;
		type = read_type(data + skipped - 2);
	}
	ip = type == ETH_P_IP || type == ETH_P_IPV6;
	skipped = MIN(skipped, MIN(captured, length));
	*ret_input = (struct decode_input){
		.data = data + skipped,
		.captured = ip ? captured - skipped : 0,
		.length = length - skipped,
		.received = packet->received,
		.time = frame->tp_sec * NSEC_PER_SEC + frame->tp_nsec,
	};
	memcpy(&header, data - sizeof(header), sizeof(header));
	if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	header.gso_type &= (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	ret_input->gso_size = header.gso_size;
	ret_input->gso_tcp =
		header.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 || header.gso_type == VIRTIO_NET_HDR_GSO_TCPV6;
	ret_input->gso_udp = header.gso_type == GSO_UDP_L4;
	/* A checksum that is not made yet begins at the innermost transport header. */
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && header.csum_start > skipped)
		ret_input->inner = (uint16_t)(header.csum_start - skipped);
}

bool packet_socket_read(struct packet_socket *packet,
			void (*take)(const struct decode_input *input, void *userdata), void *userdata)
{
	struct tpacket_block_desc *block = (void *)(packet->ring + (size_t)packet->block * BLOCK_SIZE);
	const uint8_t *next;

	if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	next = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *frame = (const void *)next;
		struct decode_input input;

		next += frame->tp_next_offset;
		/* A large segment of a kind that the header has no number for: the kernel left the frame as
		 * it was, and counted it as dropped. */
		if (!(frame->tp_status & TP_STATUS_USER)) {
			packet->refused++;
			continue;
		}
		frame_read(packet, frame, &input);
		take(&input, userdata);
		packet->read++;
	}
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	packet->block = (packet->block + 1) % BLOCKS;
	return true;
}
