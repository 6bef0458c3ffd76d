/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A packet socket that captures one direction of an interface into a ring (TPACKET_V3; the kernel's
 * Documentation/networking/packet_mmap.rst), with the kernel's description of large segments.
 */

#include "daemon/device/decode.h"

#include <stdbool.h>
#include <stdint.h>

struct packet_socket {
	int fd;
	uint8_t *ring;
	unsigned int block; /* the next one to be read */
	unsigned int l2_length;
	bool received;	   /* the direction: incoming; else outgoing */
	uint64_t captured; /* packets put into the ring, as of the last packet_socket_update() */
	uint64_t dropped;  /* packets that found no room in it, likewise */
	uint64_t read;	   /* packets read from it */
	uint64_t refused;  /* of the dropped ones: large segments of a kind that a ring cannot express */
};

#define PACKET_SOCKET_RING (8U * 1024 * 1024) /* bytes */

/* Makes the ring of one direction, but captures nothing yet. 0; -EPERM; or another -errno. */
int packet_socket_open(struct packet_socket *packet, bool received);
/* Of this interface, with so many bytes in front of its packets' IP headers. 0; -ENODEV; or another -errno.
 */
int packet_socket_bind(struct packet_socket *packet, unsigned int ifindex, unsigned int l2_length);
/* Accepts a socket that was never opened, if its fd is -1. */
void packet_socket_close(struct packet_socket *packet);

/* 0; -ENODEV: it no longer captures this interface, which has left the namespace, even if it has come back;
 * or another -errno: could not ask. */
int packet_socket_check(const struct packet_socket *packet, unsigned int ifindex);

/* Captures from now on. 0 or -errno. */
int packet_socket_start(struct packet_socket *packet);
/* Stops capturing at once; what is in the ring stays there. 0 or -errno. */
int packet_socket_stop(struct packet_socket *packet);

/* Brings `captured` and `dropped` up to this moment. 0 or -errno. */
int packet_socket_update(struct packet_socket *packet);

/*
 * Hands over the packets of one full block, and gives the block back. False when none is full. The kernel
 * fills a block, or closes it after some 20 ms.
 */
bool packet_socket_read(struct packet_socket *packet,
			void (*take)(const struct decode_input *input, void *userdata), void *userdata);
