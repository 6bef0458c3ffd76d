/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A tun device in the test's own network namespace, and packets through it: those written to its descriptor
 * come in, those sent by a packet socket go out. The test ends with abort() when that fails.
 */

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tunnel {
	char name[16];
	int fds[2];	/* one for each queue; the second -1 unless there are two */
	int sockets[2]; /* packet sockets that send; likewise */
	unsigned int ifindex;
	bool vnet; /* packets at the descriptor and the sockets have a virtio_net_hdr in front */
};

/* True when namespaces and tun devices can be made here. */
bool tunnel_is_possible(void);

/* Moves the calling process into a new network namespace without IPv6 chatter. */
void namespace_enter(void);

struct tunnel_options {
	bool ethernet; /* a tap device */
	bool vnet;
	bool two_queues;
};

/* Makes the device and sets it up. */
void tunnel_init(struct tunnel *tunnel, const struct tunnel_options *options);
/* A packet socket on an interface that exists already; its descriptors are -1. */
void tunnel_attach(struct tunnel *tunnel, const char *name, bool vnet);
void tunnel_deinit(struct tunnel *tunnel);

/* One packet into the tunnel's side of the queue: received by this node. 0 or the kernel's -errno. */
int tunnel_receive(const struct tunnel *tunnel, int queue, const struct virtio_net_hdr *header,
		   const void *packet, size_t length);
/* One packet sent by this node. */
int tunnel_transmit(const struct tunnel *tunnel, int queue, const struct virtio_net_hdr *header,
		    const void *packet, size_t length);
/* A packet that was sent, from the descriptor, without its virtio_net_hdr; its length, or 0 when there is
 * none. */
size_t tunnel_read(const struct tunnel *tunnel, int queue, void *packet, size_t size);

/* Sets an interface up or down. */
void interface_set_up(const char *name, bool up);
/* Runs a program and discards its output. Its exit status; -1 when it does not exist. */
int run_program(const char *const arguments[]);
