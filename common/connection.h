/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A connection and its counts: what every device hands over and every message holds. The programs know
 * nothing else about traffic.
 */

#include "common/address.h"

#include <stddef.h>
#include <stdint.h>

struct connection {
	/* As the node sees it: its own side is the source, in both directions. */
	struct endpoint src;
	struct endpoint dst;
	uint8_t proto; /* IANA number; 0 unknown, 255 a later fragment */
};

/* Each 0 to 2^63-1: additions saturate there. */
struct counts {
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t rx_packets;
	uint64_t rx_bytes;
};

#define COUNT_MAX ((uint64_t)INT64_MAX)

/* Which end opened a connection. */
enum opener { OPENER_UNKNOWN, OPENER_SRC, OPENER_DST, OPENER_BOTH };

/*
 * What is known of the order of a flow's packets, for joining parts of the same flow (details_add()) and
 * windows. Some are the counting programs' (daemon/bpf/control.h).
 */
enum details_bits {
	DETAILS_HAS_SYN = 1 << 0,	 /* first_syn and last_syn are set */
	DETAILS_EARLY_END = 1 << 1,	 /* a FIN or RST came before any SYN */
	DETAILS_ENDED = 1 << 2,		 /* the last connection has ended */
	DETAILS_FIRST_RECEIVED = 1 << 3, /* the first packet was received; else it was sent */
	DETAILS_HAS_FIRST = 1 << 4,	 /* packets were seen: that, and first_time, are set */
	DETAILS_FIRST_SYN_RECEIVED = 1 << 5,
	DETAILS_LAST_SYN_RECEIVED = 1 << 6,
	DETAILS_OPENERS_DIFFER = 1 << 7,   /* of the connections that began */
	DETAILS_FIRST_ENDED = 1 << 8,	   /* the first connection that began here has ended */
	DETAILS_ANSWERED = 1 << 9,	   /* the last SYN's other end has sent a SYN-ACK */
	DETAILS_FIRST_EITHER = 1 << 10,	   /* the first packet may have been of either direction */
	DETAILS_SRC_SYN_DROPPED = 1 << 11, /* a SYN without ACK from this end was thrown away; */
	DETAILS_DST_SYN_DROPPED = 1 << 12, /* from this one */
};

/*
 * How the connections of a flow went, beside their counts. All zero: nothing is known. What cannot be known
 * is left out, never guessed.
 */
struct details {
	uint32_t starts, ends;	      /* connections that began and ended */
	uint32_t tx_drops, rx_drops;  /* packets that the kernel threw away */
	uint32_t first_syn, last_syn; /* TCP sequence numbers of the SYNs that began the first and last one */
	uint32_t first_time;	      /* of the first packet, in the source's own unit: only for comparing */
	uint16_t drop_reason;	      /* of most of the drops, by the kernel's number; 0: none */
	uint16_t bits;		      /* enum details_bits */
	uint8_t tx_flags, rx_flags;   /* unions of TCP control bits (RFC 9565, tcpControlBits) */
	uint8_t opener;		      /* enum opener */
};

/* In an order without padding, since there are as many as connections. */
struct flow {
	struct connection connection;
	struct details details;
	struct counts counts;
};

/* A list of flows that owns its array. Zero-initialised is empty. A connection may appear more than once. */
struct flows {
	struct flow *items;
	size_t n;
	size_t allocated;
};

/* What a device counts: the connections in the tunnel, or the physical layer, the tunnel's own datagrams. */
enum device_layer { LAYER_TUN, LAYER_SOCK, N_LAYERS };

/* The four classes of traffic, in the order of a message's lists. */
enum traffic_class { CLASS_VIRTUAL, CLASS_SUBNET, CLASS_EXIT, CLASS_PHYSICAL, N_CLASSES };

/* "virtual", "subnet", "exit", "physical" */
const char *traffic_class_name(enum traffic_class class);
/* 0 or -EINVAL */
int traffic_class_parse(const char *text, enum traffic_class *ret_class);

/* By source, destination, protocol: the order of entries in a message. */
int connection_compare(const struct connection *a, const struct connection *b);

void counts_add(struct counts *sum, const struct counts *more);
/* a minus b, each count of which is at most that of a. */
struct counts counts_difference(const struct counts *a, const struct counts *b);
bool counts_is_zero(const struct counts *counts);
bool counts_equal(const struct counts *a, const struct counts *b);

/* Makes room for n more flows; 0 or -ENOMEM, the list unchanged. */
int flows_reserve(struct flows *flows, size_t n);
/* Appends a copy; 0 or -ENOMEM. */
int flows_add(struct flows *flows, const struct connection *connection, const struct counts *counts);
/*
 * Gives the memory of the items before n, which must not be read again, back to the kernel as far as they
 * fill whole pages. The list keeps its length.
 */
void flows_discard(struct flows *flows, size_t n);
void flows_deinit(struct flows *flows);
