/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arrays that tun_drain_side() maps are files in memory; its system calls for the other maps are
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

/* A map that is mapped. */
struct mapped {
	uint8_t *memory;
	size_t size;
};

static struct {
	struct tun_drain drain;
	struct mapped tables[FLOW_TABLES];
	struct mapped notes;
	struct mapped listed;
	struct flow_fill fill[FLOW_SIDES];
	struct flow_totals totals[USER_CPUS][FLOW_SIDES];
	uint32_t epoch;
	int calls_left; /* negative: any number */
} user;

static const size_t entry_sizes[FLOW_TABLES] = {sizeof(struct flow_entry), sizeof(struct flow_entry6)};

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	abort();
}

/* --- the program's side --- */

static void *element(const struct mapped *map, size_t size, uint32_t at)
{
	return at < map->size / size ? map->memory + at * size : NULL;
}

void *user_map_lookup(const void *map, const void *key)
{
	uint32_t at = *(const uint32_t *)key;

	for (unsigned int table = 0; table < FLOW_TABLES; table++)
		if (map == user_tun_maps[USER_ENTRIES + table])
			return element(&user.tables[table], entry_sizes[table], at);
	if (map == user_tun_maps[USER_NOTES])
		return element(&user.notes, sizeof(struct control_note), at);
	if (map == user_tun_maps[USER_LISTED])
		return element(&user.listed, sizeof(struct flow_list), at);
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
	else
		must(false, "update of an unexpected map");
	return 0;
}

int libbpf_num_possible_cpus(void)
{
	return USER_CPUS;
}

/* --- the daemon's side --- */

static void make_memory(struct mapped *map, size_t size, int *ret_fd)
{
	int fd = memfd_create("map", MFD_CLOEXEC);
	void *memory;

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory != MAP_FAILED, "mmap");
	*map = (struct mapped){memory, size};
	*ret_fd = fd;
}

void user_maps_init(uint32_t max_entries, uint32_t max_notes, const uint32_t *seeds)
{
	struct user_settings settings = {.details = max_notes > 0};
	struct tun *programs = tun__open();

	must(programs && tun_drain_prepare(programs, max_entries, max_notes) == 0, "tun_drain_prepare");
	memcpy(settings.capacity, (const void *)programs->rodata->flow_capacity, sizeof(settings.capacity));
	memcpy(settings.places, (const void *)programs->rodata->flow_places, sizeof(settings.places));
	memcpy(settings.pressure_threshold, (const void *)programs->rodata->pressure_threshold,
	       sizeof(settings.pressure_threshold));
	memcpy(settings.seeds, seeds ? seeds : (const void *)programs->rodata->flow_seeds,
	       sizeof(settings.seeds));
	user_tun_configure(&settings);
	memset(&user, 0, sizeof(user));
	tun_drain_init(&user.drain, programs);
	user.drain.fill = FILL_FD;
	user.drain.totals = TOTALS_FD;
	for (unsigned int table = 0; table < FLOW_TABLES; table++)
		make_memory(&user.tables[table],
			    FLOW_SIDES * (settings.places[table] + FLOW_TAIL) * entry_sizes[table],
			    &user.drain.entries[table]);
	make_memory(&user.notes,
		    FLOW_SIDES * (settings.places[FLOW_NOTES] + FLOW_TAIL) * sizeof(struct control_note),
		    &user.drain.notes_map);
	make_memory(&user.listed, FLOW_SIDES * sizeof(struct flow_list), &user.drain.listed);
	tun__destroy(programs);
}

static void free_memory(const struct mapped *map, int fd)
{
	munmap(map->memory, map->size);
	safe_close(fd);
}

void user_maps_deinit(void)
{
	for (unsigned int table = 0; table < FLOW_TABLES; table++)
		free_memory(&user.tables[table], user.drain.entries[table]);
	free_memory(&user.notes, user.drain.notes_map);
	free_memory(&user.listed, user.drain.listed);
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

/* --- for observers --- */

static bool find(const void *address, const void *first, size_t size, size_t *ret_offset)
{
	uintptr_t offset = (uintptr_t)address - (uintptr_t)first;

	*ret_offset = offset;
	return offset < size;
}

const struct flow_entry *user_maps_find_entry(const void *address, size_t *ret_offset)
{
	size_t offset;

	for (unsigned int table = 0; table < FLOW_TABLES; table++) {
		const struct mapped *map = &user.tables[table];

		if (!find(address, map->memory, map->size, &offset))
			continue;
		*ret_offset = offset % entry_sizes[table];
		return (const void *)(map->memory + offset - *ret_offset);
	}
	return NULL;
}

bool user_maps_is_note(const void *address)
{
	size_t offset;

	return find(address, user.notes.memory, user.notes.size, &offset);
}

bool user_maps_hold(const void *address)
{
	size_t offset;

	return user_maps_find_entry(address, &offset) || user_maps_is_note(address) ||
	       find(address, user.listed.memory, user.listed.size, &offset) ||
	       find(address, user.fill, sizeof(user.fill), &offset) ||
	       find(address, user.totals, sizeof(user.totals), &offset) || address == &user.epoch;
}
