/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Stands in for the decoder where a program is compiled for user space: a packet is what it decodes to. */

#include "tests/unit/daemon/device/support/user_maps.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

struct segments {
	__u64 packets;
	__u64 bytes;
	__u64 inexact;
	__u8 tcp_flags;
	__u32 tcp_seq;
};

static __always_inline void decode(struct __sk_buff *skb, bool ethernet, bool received, struct flow_key *key,
				   struct segments *ret_segments)
{
	const struct user_packet *packet = (const void *)skb;

	(void)ethernet;
	(void)received;
	*key = packet->key;
	*ret_segments = (struct segments){
		.packets = packet->packets,
		.bytes = packet->bytes,
		.tcp_flags = packet->tcp_flags,
		.tcp_seq = packet->tcp_seq,
	};
}
