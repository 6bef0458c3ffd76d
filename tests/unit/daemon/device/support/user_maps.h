/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The tun programs and their table in user space, where threads stand for CPUs: the programs' own source
 * (user_tun.c) over maps that are memory, emptied by the daemon's own tun_drain_side(). So tests can look
 * inside at every step, and stop a CPU anywhere.
 */

#include "common/connection.h"
#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"

#include <stdbool.h>
#include <stdint.h>

#define USER_CPUS 2

enum user_map {
	USER_ENTRIES,
	USER_ENTRIES6,
	USER_NOTES,
	USER_LISTED,
	USER_FILL,
	USER_TOTALS,
	USER_EPOCH,
	N_USER_MAPS
};

/* What is set before programs are loaded. */
struct user_settings {
	uint32_t capacity[FLOW_ROOMS];
	uint32_t places[FLOW_ROOMS];
	uint32_t seeds[FLOW_SEEDS];
	uint64_t pressure_threshold[FLOW_ROOMS];
	bool details;
};

/* A packet is what the decoder makes of it; the program itself adds the CPU to the key. */
struct user_packet {
	struct flow_key key;
	uint64_t packets;
	uint64_t bytes;
	uint8_t tcp_flags;
	uint32_t tcp_seq;
};

/* --- the program's side: user_tun.c --- */

extern const void *const user_tun_maps[N_USER_MAPS];
void user_tun_configure(const struct user_settings *settings);
void user_tun_count(const struct user_packet *packet, bool received);

/* The CPU that this thread stands for. */
extern __thread uint32_t user_cpu;
/* As the kernel's helper. */
void *user_map_lookup(const void *map, const void *key);

/* --- the daemon's side: user_maps.c --- */

/*
 * Maps for a side of so many entries, and notes (0: without details), with these random words in the hash
 * (FLOW_SEEDS; NULL: really random). Ends the test with abort() on failure.
 */
void user_maps_init(uint32_t max_entries, uint32_t max_notes, const uint32_t *seeds);
void user_maps_deinit(void);

/* Moves the programs to the other side; returns the one to drain once no program uses it any
 * more. */
unsigned int user_maps_flip(void);
/* The side that programs use now. */
unsigned int user_maps_side(void);
/* tun_drain_side(). `fail_after`: that many calls to the kernel succeed, and the next one fails; negative:
 * none does. */
int user_maps_drain(unsigned int side, int fail_after, struct extraction *extraction);

/* The side in which this thread's last packet was counted. */
unsigned int user_maps_last_side(void);

/* The entry in which an address lies, and the offset in it; NULL: in none. */
const struct flow_entry *user_maps_find_entry(const void *address, size_t *ret_offset);
/* Whether it lies in a note. */
bool user_maps_is_note(const void *address);
/* Whether an address lies in any map. */
bool user_maps_hold(const void *address);
