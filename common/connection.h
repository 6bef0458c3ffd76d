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

struct flow {
	struct connection connection;
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
