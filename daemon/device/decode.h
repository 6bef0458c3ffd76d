/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From a packet to its connection and to the packets and bytes it stands for, in user space: for the sources
 * that see packets themselves. The decoder is the counting programs' (daemon/bpf/headers.h).
 */

#include "common/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packet as it was captured. */
struct decode_input {
	const uint8_t *data; /* from the IP header on */
	size_t captured;     /* bytes at `data`; what lies beyond is missing */
	size_t length;	     /* bytes that the packet has; at least `captured` */
	bool received;	     /* the connection's ends are swapped */
	int64_t time;	     /* when it was captured, ns; not the decoder's */
	/* Large segments only, else zeros. */
	uint16_t gso_size; /* payload of each packet but the last; 0: this is one packet */
	bool gso_tcp;	   /* what is cut into packets: TCP, */
	bool gso_udp;	   /* or UDP datagrams; neither: something else */
	/* Offset of the header whose payload is cut, by the sender's claim, which may be false; 0: unknown.
	 */
	uint16_t inner;
};

struct decoded {
	struct connection connection;
	uint64_t packets; /* at least 1 */
	uint64_t bytes;
	bool inexact;	   /* a large segment whose packets and bytes are not known exactly */
	uint8_t tcp_flags; /* control bits; 0 where there is no TCP header */
	uint32_t tcp_seq;  /* its sequence number, network byte order */
};

void decode_packet(const struct decode_input *input, struct decoded *ret_decoded);
