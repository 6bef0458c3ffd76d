/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * How the counting programs read a packet, for the decoder (headers.h): in place where the bytes lie in the
 * linear part, which they nearly always do; the rest, and all that is rare (IPv4 options, IPv6 extension
 * headers), by bpf_skb_load_bytes().
 */

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

typedef struct __sk_buff packet_source;

#define APART __noinline

static __always_inline const void *packet_at(const struct __sk_buff *skb, __u32 offset)
{
	return (void *)(long)skb->data + offset;
}

static __always_inline bool packet_holds(const struct __sk_buff *skb, const void *place, __u32 size)
{
	return place + size <= (void *)(long)skb->data_end;
}

static __always_inline long packet_load(struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes(skb, offset, to, size);
}
