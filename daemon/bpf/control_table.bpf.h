/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The table of notes: what the SYN, FIN and RST packets of each TCP connection said (control_note.h). All
 * CPUs share a connection's note, since only the order of all packets tells: the order is that in which the
 * CPUs change its state. A note is where the hash of its connection leads to, or behind that place; it is
 * made but never removed while programs run. An entry says where its connection's note is, so that the daemon
 * finds it as it drains the entry.
 *
 * Nobody waits for anybody here, so it does not matter where a program is interrupted (PREEMPT_RT, a virtual
 * machine's CPU that does not run). A step is made again only if another CPU's packet of the same connection
 * changed the state in the few nanoseconds between; that it happens CONTROL_TRIES times on end is not to be
 * expected, and is counted as lost, as is what finds no room.
 *
 * Tried before, in the kernel's hash map without preallocation, changed under bpf_spin_lock(); such maps
 * cannot be mapped as memory. Each of the four packets of a connection that begins and ends in a window took
 * 660 ns, against 380 here, with 100,000 connections, and 370 against 140 with 1,000 (115 ns without SYN and
 * FIN). The end of a window of 100,000 took 1,600 ns of each, against 580 (450 of connections that live on).
 * (tests/bench/bench_window.c: medians of three runs in turn, on a loaded machine.) Fetching notes ahead of
 * their entries at the end gained nothing that could be seen.
 */

#include "daemon/bpf/control_note.h"
#include "daemon/bpf/flow_place.bpf.h"
#include "daemon/bpf/tun_maps.h"

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define CONTROL_TRIES 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2); /* set before loading */
	__type(key, __u32);
	__type(value, struct control_note);
} notes SEC(".maps");

/* Whether the word is this one, from now on if it was free. */
static __always_inline bool claim_word(__u64 *word, __u64 value)
{
	__u64 found = *(volatile __u64 *)word;

	if (!found)
		found = __sync_val_compare_and_swap(word, 0, value) ?: value;
	return found == value;
}

/*
 * Global functions, to be checked apart. This one: the place plus 1 if the note there is the connection's,
 * made if the place was free; 0: it is another's; negative: no room.
 */
__noinline int claim_note(struct flow_totals *own, const struct control_key *key, __u32 side, __u32 place)
{
	struct control_note *note = bpf_map_lookup_elem(&notes, &place);
	__u64 first;

	if (!own || !key || !note || side >= FLOW_SIDES)
		return -1;
	first = *(volatile __u64 *)&note->key.words[0];
	if (!first) {
		if (!take_room(own, side, FLOW_NOTES))
			return -1;
		first = __sync_val_compare_and_swap(&note->key.words[0], 0, key->words[0]);
		if (!first) {
			own->block[FLOW_NOTES].next++;
			first = key->words[0];
		}
	}
	if (first != key->words[0])
		return 0;
	for (int i = 1; i < CONTROL_KEY_WORDS; i++)
		if (key->words[i] && !claim_word(&note->key.words[i], key->words[i]))
			return 0;
	return (int)place + 1;
}

/* The note's place plus 1, made if there is none; 0 or less without room. */
__noinline int find_note(struct flow_totals *own, const struct control_key *key, __u32 side, __u32 place)
{
	if (!own || !key)
		return 0;
	for (__u32 i = 0; i < FLOW_PROBES; i++) {
		int found = claim_note(own, key, side, place + i);

		if (found)
			return found;
	}
	return 0;
}

/* Makes the step of a packet: 1; 0: another CPU was faster; negative: it cannot be counted. */
__noinline int change_note(__u32 place, __u32 what, __u32 seq)
{
	struct control_note *note = bpf_map_lookup_elem(&notes, &place);
	struct flow_control control;
	__u64 before, after, more = 0;

	if (!note)
		return -1;
	before = *(volatile __u64 *)&note->state;
	control_unpack(before, &control);
	control_step(&control, what >> 8, what, seq);
	if (control.starts == CONTROL_COUNT_FULL) {
		control.starts -= CONTROL_UNIT;
		more += CONTROL_UNIT_STARTS;
	}
	if (control.ends == CONTROL_COUNT_FULL) {
		control.ends -= CONTROL_UNIT;
		more += CONTROL_UNIT_ENDS;
	}
	if (more) {
		__u64 units = *(volatile __u64 *)&note->more;

		if ((units >> 32 & CONTROL_UNITS_FULL) == CONTROL_UNITS_FULL ||
		    units >> 48 == CONTROL_UNITS_FULL)
			return -1;
	}
	more += control.first_syn;
	after = control_pack(&control);
	if (after == before)
		return 1;
	if (__sync_val_compare_and_swap(&note->state, before, after) != before)
		return 0;
	if (more)
		__sync_fetch_and_add(&note->more, more);
	return 1;
}

/* Notes a SYN, FIN or RST. `what`: its flags, and 0x100 if it was received. The note's place plus 1, or 0. */
__noinline int note_control(struct flow_totals *own, const struct flow_key *key, __u32 side, __u32 what,
			    __u32 seq)
{
	struct control_key words;
	int found, changed = 0;

	/* What is TCP has addresses. */
	if (!own || !key || !key->family || side >= FLOW_SIDES)
		return 0;
	control_key_make(key, &words);
	found = find_note(own, &words, side, place_of(hash_flow(key), 0, side, FLOW_NOTES));
	for (int i = 0; i < CONTROL_TRIES && found > 0 && !changed; i++)
		changed = change_note(found - 1, what, seq);
	if (changed <= 0)
		own->lost_controls++;
	return found > 0 ? found : 0;
}
