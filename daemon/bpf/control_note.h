/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * What is noted of one TCP connection (control.h), in one cache line that all CPUs change without a lock: a
 * program reads the state, makes the step, and puts the new state in place of the one that it has read, or
 * begins again where another CPU was faster. So the state has to be one word. What does not fit in it is only
 * ever added to: the first SYN's number, which only the CPU that made that step adds; and starts and ends,
 * in units, once their part of the state is full.
 *
 * The key is claimed word by word. Each word goes once from 0 to what it remains, and never is 0 then; who
 * finds another one there than its own looks at the next place. So no CPU ever sees half a key that it would
 * have to wait for.
 */

#include "daemon/bpf/control.h"
#include "daemon/bpf/flow.h"

#include <linux/types.h>
#include <stdbool.h>

#define CONTROL_KEY_WORDS 6

/* Of IPv4 connections two words, else 0. */
struct control_key {
	__u64 words[CONTROL_KEY_WORDS];
};

struct control_note {
	struct control_key key;
	__u64 state;
	__u64 more;
} __attribute__((aligned(64)));

/* The parts of `state`: last_syn, bits, opener, starts, ends. */
#define CONTROL_BITS_SHIFT   32
#define CONTROL_OPENER_SHIFT 42
#define CONTROL_STARTS_SHIFT 44
#define CONTROL_ENDS_SHIFT   54
#define CONTROL_COUNT_FULL   1023U
#define CONTROL_UNIT	     512U

/* The parts of `more`: first_syn, and units of starts and of ends. */
#define CONTROL_UNIT_STARTS (1ULL << 32)
#define CONTROL_UNIT_ENDS   (1ULL << 48)
#define CONTROL_UNITS_FULL  0xffffU

static inline __attribute__((always_inline)) __u64 control_pack(const struct flow_control *control)
{
	return control->last_syn | (__u64)control->bits << CONTROL_BITS_SHIFT |
	       (__u64)control->opener << CONTROL_OPENER_SHIFT |
	       (__u64)control->starts << CONTROL_STARTS_SHIFT | (__u64)control->ends << CONTROL_ENDS_SHIFT;
}

/* Without first_syn. */
static inline __attribute__((always_inline)) void control_unpack(__u64 state,
								 struct flow_control *ret_control)
{
	*ret_control = (struct flow_control){
		.starts = state >> CONTROL_STARTS_SHIFT & CONTROL_COUNT_FULL,
		.ends = state >> CONTROL_ENDS_SHIFT & CONTROL_COUNT_FULL,
		.last_syn = (__u32)state,
		.bits = state >> CONTROL_BITS_SHIFT & 0x3ff,
		.opener = state >> CONTROL_OPENER_SHIFT & 3,
	};
}

/* All that is noted; no program may be changing it. */
static inline void control_note_read(const struct control_note *note, struct flow_control *ret_control)
{
	control_unpack(note->state, ret_control);
	ret_control->first_syn = (__u32)note->more;
	ret_control->starts += (note->more >> 32 & CONTROL_UNITS_FULL) * CONTROL_UNIT;
	ret_control->ends += (note->more >> 48) * CONTROL_UNIT;
}

/* 48 bits of the key, and what is never 0. */
static inline __attribute__((always_inline)) __u64 control_key_word(__u32 low, __u32 high, __u8 family)
{
	return low | (high & 0xffffULL) << 32 | (__u64)family << 48;
}

static inline __attribute__((always_inline)) void control_key_make(const struct flow_key *key,
								   struct control_key *ret_key)
{
	__u64 *words = ret_key->words;

	*ret_key = (struct control_key){};
	words[0] = control_key_word(key->src[0], key->src_port, key->family);
	words[1] = control_key_word(key->dst[0], key->dst_port, key->family);
	if (key->family != 6)
		return;
	words[2] = control_key_word(key->src[1], key->src[3], 6);
	words[3] = control_key_word(key->src[2], key->src[3] >> 16, 6);
	words[4] = control_key_word(key->dst[1], key->dst[3], 6);
	words[5] = control_key_word(key->dst[2], key->dst[3] >> 16, 6);
}

/* The flow's key again, without CPU. */
static inline void control_key_read(const struct control_key *key, struct flow_key *ret_key)
{
	const __u64 *words = key->words;

	*ret_key = (struct flow_key){
		.src = {(__u32)words[0], (__u32)words[2], (__u32)words[3],
			(__u32)(words[2] >> 32 & 0xffff) | (__u32)(words[3] >> 32) << 16},
		.dst = {(__u32)words[1], (__u32)words[4], (__u32)words[5],
			(__u32)(words[4] >> 32 & 0xffff) | (__u32)(words[5] >> 32) << 16},
		.src_port = (__u16)(words[0] >> 32),
		.dst_port = (__u16)(words[1] >> 32),
		.proto = 6, /* TCP */
		.family = (__u8)(words[0] >> 48),
	};
}
