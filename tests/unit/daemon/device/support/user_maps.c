/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two arrays that tun_drain_side() maps are files in memory; its system calls for the other maps are
 * replaced here.
 */

#include "tests/unit/daemon/device/support/user_maps.h"

#include "common/cleanup.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/tun_drain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Stand for descriptors. */
enum { FILL_FD = 1 << 30, TOTALS_FD };

__thread uint32_t user_cpu;
static __thread unsigned int last_side;

static struct {
	struct tun_drain drain;
	struct flow_entry *entries;
	size_t entries_size;
	struct flow_line *slots;
	size_t slots_size;
	struct flow_fill fill[FLOW_SIDES];
	struct flow_totals totals[USER_CPUS][FLOW_SIDES];
	uint32_t epoch;
	uint32_t number_mask;
	int calls_left; /* negative: any number */
} user;

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	abort();
}

/* --- the program's side --- */

void *user_map_lookup(const void *map, const void *key)
{
	uint32_t at = *(const uint32_t *)key;

	if (map == user_tun_maps[USER_ENTRIES])
		return at < FLOW_SIDES * user.drain.capacity ? &user.entries[at] : NULL;
	if (map == user_tun_maps[USER_SLOTS])
		return at < user.slots_size / sizeof(*user.slots) ? &user.slots[at] : NULL;
	if (map == user_tun_maps[USER_EPOCH])
		return at < 1 ? &user.epoch : NULL;
	if (at >= FLOW_SIDES)
		return NULL;
	if (map == user_tun_maps[USER_FILL])
		return &user.fill[at];
	must(map == user_tun_maps[USER_TOTALS], "map");
	last_side = at;
	return &user.totals[user_cpu][at];
}

unsigned int user_maps_last_side(void)
{
	return last_side;
}

/* --- the kernel's side, for tun_drain.c --- */

static bool refused(void)
{
	if (user.calls_left < 0 || user.calls_left-- > 0)
		return false;
	user.calls_left = 0;
	errno = ENOMEM;
	return true;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	uint32_t at = *(const uint32_t *)key;

	if (refused())
		return -1;
	if (fd == FILL_FD)
		memcpy(value, &user.fill[at], sizeof(user.fill[at]));
	else if (fd == TOTALS_FD)
		for (size_t cpu = 0; cpu < USER_CPUS; cpu++)
			((struct flow_totals *)value)[cpu] = user.totals[cpu][at];
	else
		must(false, "lookup in an unexpected map");
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	uint32_t at = *(const uint32_t *)key;

	(void)flags;
	if (refused())
		return -1;
	if (fd == FILL_FD)
		memcpy(&user.fill[at], value, sizeof(user.fill[at]));
	else if (fd == TOTALS_FD)
		for (size_t cpu = 0; cpu < USER_CPUS; cpu++)
			user.totals[cpu][at] = ((const struct flow_totals *)value)[cpu];
	else if (fd == user.drain.slots)
		memcpy(&user.slots[at], value, sizeof(user.slots[at]));
	else
		must(false, "update of an unexpected map");
	return 0;
}

int libbpf_num_possible_cpus(void)
{
	return USER_CPUS;
}

/* --- the daemon's side --- */

static void *make_memory(int *ret_fd, size_t size)
{
	int fd = memfd_create("map", MFD_CLOEXEC);
	void *memory;

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory != MAP_FAILED, "mmap");
	*ret_fd = fd;
	return memory;
}

void user_maps_init(uint32_t max_entries, const uint32_t *seeds)
{
	struct user_settings settings;
	struct tun *programs = tun__open();

	must(programs && tun_drain_prepare(programs, max_entries) == 0, "tun_drain_prepare");
	settings = (struct user_settings){
		.capacity = programs->rodata->flow_capacity,
		.slot_bits = programs->rodata->flow_slot_bits,
		.number_bits = programs->rodata->flow_number_bits,
		.pressure_threshold = programs->rodata->pressure_threshold,
	};
	memcpy(settings.seeds, seeds ? seeds : (const void *)programs->rodata->flow_seeds,
	       sizeof(settings.seeds));
	user_tun_configure(&settings);
	memset(&user, 0, sizeof(user));
	tun_drain_init(&user.drain, programs);
	user.number_mask = (1U << settings.number_bits) - 1;
	user.drain.fill = FILL_FD;
	user.drain.totals = TOTALS_FD;
	user.entries_size = bpf_map__max_entries(programs->maps.entries) * sizeof(*user.entries);
	user.entries = make_memory(&user.drain.entries, user.entries_size);
	user.slots_size = bpf_map__max_entries(programs->maps.slots) * sizeof(*user.slots);
	user.slots = make_memory(&user.drain.slots, user.slots_size);
	tun__destroy(programs);
}

void user_maps_deinit(void)
{
	munmap(user.entries, user.entries_size);
	munmap(user.slots, user.slots_size);
	safe_close(user.drain.entries);
	safe_close(user.drain.slots);
}

unsigned int user_maps_flip(void)
{
	unsigned int old = user.epoch & 1;

	__atomic_store_n(&user.epoch, user.epoch ^ 1, __ATOMIC_SEQ_CST);
	return old;
}

unsigned int user_maps_side(void)
{
	return __atomic_load_n(&user.epoch, __ATOMIC_SEQ_CST) & 1;
}

int user_maps_drain(unsigned int side, int fail_after, struct extraction *extraction)
{
	int r;

	user.calls_left = fail_after < 0 ? -1 : fail_after;
	r = tun_drain_side(&user.drain, side, extraction);
	user.calls_left = -1;
	return r;
}

struct counts user_maps_overflow(unsigned int cpu, unsigned int side)
{
	const struct flow_counts *counts = &user.totals[cpu][side].overflow;

	return (struct counts){.tx_packets = counts->tx_packets,
			       .tx_bytes = counts->tx_bytes,
			       .rx_packets = counts->rx_packets,
			       .rx_bytes = counts->rx_bytes};
}

/* --- for observers --- */

static bool find(const void *address, const void *first, size_t size, size_t *ret_offset)
{
	uintptr_t offset = (uintptr_t)address - (uintptr_t)first;

	*ret_offset = offset;
	return offset < size;
}

bool user_maps_find_entry(const void *address, unsigned int *ret_side, uint32_t *ret_number,
			  size_t *ret_offset)
{
	size_t offset, number;

	if (!find(address, user.entries, user.entries_size, &offset))
		return false;
	number = offset / sizeof(struct flow_entry);
	*ret_side = number >= user.drain.capacity;
	*ret_number = (uint32_t)(number % user.drain.capacity);
	*ret_offset = offset % sizeof(struct flow_entry);
	return true;
}

bool user_maps_find_slot(const void *address, unsigned int *ret_side)
{
	size_t offset;

	if (!find(address, user.slots, user.slots_size, &offset))
		return false;
	*ret_side = offset >= user.slots_size / FLOW_SIDES;
	return true;
}

bool user_maps_find_fill(const void *address, unsigned int *ret_side)
{
	size_t offset;

	if (!find(address, user.fill, sizeof(user.fill), &offset))
		return false;
	*ret_side = (unsigned int)(offset / sizeof(user.fill[0]));
	return true;
}

bool user_maps_hold(const void *address)
{
	unsigned int side;
	size_t offset;

	return find(address, user.entries, user.entries_size, &offset) ||
	       user_maps_find_slot(address, &side) || user_maps_find_fill(address, &side) ||
	       find(address, user.totals, sizeof(user.totals), &offset) || address == &user.epoch;
}

uint32_t user_maps_number_mask(void)
{
	return user.number_mask;
}
