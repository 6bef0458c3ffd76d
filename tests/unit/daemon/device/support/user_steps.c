/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs are compiled as for ThreadSanitizer, but the calls that the compiler inserts for accesses to
 * memory end here, in place of its library's.
 *
 * Allowed: a CPU writes only to entries of its own blocks, and reads another CPU's key only when a slot leads
 * there, since only then is it complete; and a complete entry keeps its key.
 */

#include "tests/unit/daemon/device/support/user_steps.h"

#include "tests/unit/daemon/device/support/user_maps.h"

#include <sched.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAX_ENTRIES 4096 /* of a side */

static struct {
	bool active;
	sem_t turns[USER_CPUS + 1]; /* the last one is the starter's */
	bool runs[USER_CPUS + 1];
	unsigned int n;
	uint64_t random;
	uint64_t pace;					      /* a mask */
	uint8_t owners[FLOW_SIDES][MAX_ENTRIES / FLOW_BLOCK]; /* CPU plus 1 */
	bool complete[FLOW_SIDES][MAX_ENTRIES];
	char fault[128];
} steps;

static __thread int me = -1;

static uint64_t next_random(void)
{
	steps.random ^= steps.random << 13;
	steps.random ^= steps.random >> 7;
	steps.random ^= steps.random << 17;
	return steps.random * 0x9e3779b97f4a7c15ULL >> 32;
}

static void wait_for(sem_t *turn)
{
	while (sem_wait(turn) < 0)
		;
}

/* Another one that is running; -1: none. */
static int choose(void)
{
	unsigned int first = (unsigned int)next_random() % steps.n;

	for (unsigned int i = 0; i < steps.n; i++) {
		unsigned int next = (first + i) % steps.n;

		if ((int)next != me && steps.runs[next])
			return (int)next;
	}
	return -1;
}

void steps_yield(void)
{
	int next;

	if (me < 0) {
		sched_yield();
		return;
	}
	next = choose();
	if (next < 0)
		return;
	sem_post(&steps.turns[next]);
	wait_for(&steps.turns[me]);
}

void steps_begin(uint64_t seed, unsigned int others)
{
	memset(&steps, 0, sizeof(steps));
	steps.n = others + 1;
	steps.random = seed * 2 + 1;
	for (unsigned int i = 0; i < steps.n; i++) {
		sem_init(&steps.turns[i], 0, 0);
		steps.runs[i] = true;
	}
	steps.active = true;
	me = (int)others;
}

void steps_set_pace(unsigned int every)
{
	steps.pace = every - 1;
}

void steps_enter(void)
{
	if (!steps.active)
		return;
	me = (int)user_cpu;
	wait_for(&steps.turns[me]);
}

void steps_leave(void)
{
	int next;

	if (me < 0)
		return;
	steps.runs[me] = false;
	next = choose();
	me = -1;
	if (next >= 0)
		sem_post(&steps.turns[next]);
}

void steps_end(void)
{
	if (!steps.active)
		return;
	for (unsigned int i = 0; i < steps.n; i++)
		sem_destroy(&steps.turns[i]);
	steps.active = false;
	me = -1;
}

void steps_forget(unsigned int side)
{
	memset(steps.owners[side], 0, sizeof(steps.owners[side]));
	memset(steps.complete[side], 0, sizeof(steps.complete[side]));
}

const char *steps_fault(void)
{
	return steps.fault[0] ? steps.fault : NULL;
}

static void check(const void *address, bool writes)
{
	unsigned int side;
	uint32_t number;
	size_t offset;
	bool names;

	if (!user_maps_find_entry(address, &side, &number, &offset) || steps.fault[0])
		return;
	names = offset < offsetof(struct flow_entry, counts) || offset == offsetof(struct flow_entry, slot);
	if (steps.owners[side][number / FLOW_BLOCK] == user_cpu + 1) {
		if (!writes || !names || !steps.complete[side][number])
			return;
	} else if (!writes && names && steps.complete[side][number]) {
		return;
	}
	snprintf(steps.fault, sizeof(steps.fault), "CPU %u %s entry %u of side %u at %zu, which is %s",
		 user_cpu, writes ? "writes to" : "reads", number, side, offset,
		 !steps.owners[side][number / FLOW_BLOCK]		   ? "no CPU's"
		 : steps.owners[side][number / FLOW_BLOCK] == user_cpu + 1 ? "complete"
									   : "another's");
}

static void access_memory(const void *address, bool writes)
{
	if (me < 0 || !user_maps_hold(address))
		return;
	check(address, writes);
	if (!(next_random() & steps.pace))
		steps_yield();
}

/* --- what the compilers call (compiler-rt/lib/tsan/rtl/tsan_interface.h) --- */

#define PLAIN(kind, writes, size)                                                                            \
	void __tsan_##kind##size(void *address);                                                             \
	void __tsan_unaligned_##kind##size(void *address);                                                   \
	void __tsan_##kind##size(void *address)                                                              \
	{                                                                                                    \
		access_memory(address, writes);                                                              \
	}                                                                                                    \
	void __tsan_unaligned_##kind##size(void *address)                                                    \
	{                                                                                                    \
		access_memory(address, writes);                                                              \
	}
PLAIN(read, false, 1)
PLAIN(read, false, 2)
PLAIN(read, false, 4)
PLAIN(read, false, 8)
PLAIN(read, false, 16)
PLAIN(write, true, 1)
PLAIN(write, true, 2)
PLAIN(write, true, 4)
PLAIN(write, true, 8)
PLAIN(write, true, 16)

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *address, unsigned long size);
void __tsan_read_range(void *address, unsigned long size)
{
	(void)size;
	access_memory(address, false);
}

void __tsan_write_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size)
{
	(void)size;
	access_memory(address, true);
}

void *__tsan_memcpy(void *to, const void *from, unsigned long size);
void *__tsan_memcpy(void *to, const void *from, unsigned long size)
{
	access_memory(from, false);
	access_memory(to, true);
	return memcpy(to, from, size);
}

void *__tsan_memset(void *to, int byte, unsigned long size);
void *__tsan_memset(void *to, int byte, unsigned long size)
{
	access_memory(to, true);
	return memset(to, byte, size);
}

static uint64_t fetch_add(volatile uint64_t *place, uint64_t more)
{
	uint64_t before;
	unsigned int side;

	access_memory((const void *)place, true);
	before = __atomic_fetch_add(place, more, __ATOMIC_SEQ_CST);
	if (me >= 0 && user_maps_find_fill((const void *)place, &side) && before < MAX_ENTRIES)
		steps.owners[side][before / FLOW_BLOCK] = (uint8_t)(user_cpu + 1);
	return before;
}

uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *place, uint64_t more, int order);
uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *place, uint64_t more, int order)
{
	(void)order;
	return fetch_add(place, more);
}

static uint32_t compare_and_swap(volatile uint32_t *place, uint32_t expected, uint32_t value)
{
	unsigned int side;

	access_memory((const void *)place, true);
	if (!__atomic_compare_exchange_n(place, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return expected;
	if (me >= 0 && user_maps_find_slot((const void *)place, &side))
		steps.complete[side][(value & user_maps_number_mask()) - 1] = true;
	return expected;
}

uint32_t __tsan_atomic32_compare_exchange_val(volatile uint32_t *place, uint32_t expected, uint32_t value,
					      int order, int fail_order);
uint32_t __tsan_atomic32_compare_exchange_val(volatile uint32_t *place, uint32_t expected, uint32_t value,
					      int order, int fail_order)
{
	(void)order;
	(void)fail_order;
	return compare_and_swap(place, expected, value);
}

int __tsan_atomic32_compare_exchange_strong(volatile uint32_t *place, uint32_t *expected, uint32_t value,
					    int order, int fail_order);
int __tsan_atomic32_compare_exchange_strong(volatile uint32_t *place, uint32_t *expected, uint32_t value,
					    int order, int fail_order)
{
	uint32_t wanted = *expected;

	(void)order;
	(void)fail_order;
	*expected = compare_and_swap(place, wanted, value);
	return *expected == wanted;
}
