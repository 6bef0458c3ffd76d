/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs are compiled as for ThreadSanitizer, but the calls that the compiler inserts for accesses to
 * memory end here, in place of its library's.
 *
 * Allowed: a CPU claims an entry whose head is 0 for itself, and reads any head; all else of an entry only
 * the CPU that its head names reads and writes. Any CPU reads notes, and changes them atomically.
 */

#include "tests/unit/daemon/device/support/user_steps.h"

#include "tests/unit/daemon/device/support/user_maps.h"

#include <sched.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static struct {
	bool active;
	sem_t turns[USER_CPUS + 1]; /* the last one is the starter's */
	bool runs[USER_CPUS + 1];
	unsigned int n;
	uint64_t random;
	uint64_t pace; /* a mask */
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

const char *steps_fault(void)
{
	return steps.fault[0] ? steps.fault : NULL;
}

static void check(const void *address, bool writes)
{
	const struct flow_entry *entry;
	size_t offset;

	if (steps.fault[0])
		return;
	if (writes && user_maps_is_note(address))
		snprintf(steps.fault, sizeof(steps.fault), "CPU %u writes to a note, and not atomically",
			 user_cpu);
	entry = user_maps_find_entry(address, &offset);
	if (!entry)
		return;
	if (offset < sizeof(entry->head) ? !writes : entry->head.word && entry->head.cpu == user_cpu)
		return;
	snprintf(steps.fault, sizeof(steps.fault), "CPU %u %s an entry at %zu, which is %s", user_cpu,
		 writes ? "writes to" : "reads", offset,
		 !entry->head.word	       ? "free"
		 : entry->head.cpu == user_cpu ? "its own"
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

/* Adds atomically, or sets bits. */
static void change_memory(const volatile uint64_t *address)
{
	access_memory((const void *)address, !user_maps_is_note((const void *)address));
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

uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *place, uint64_t more, int order);
uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *place, uint64_t more, int order)
{
	(void)order;
	change_memory(place);
	return __atomic_fetch_add(place, more, __ATOMIC_SEQ_CST);
}

uint64_t __tsan_atomic64_fetch_or(volatile uint64_t *place, uint64_t bits, int order);
uint64_t __tsan_atomic64_fetch_or(volatile uint64_t *place, uint64_t bits, int order)
{
	(void)order;
	change_memory(place);
	return __atomic_fetch_or(place, bits, __ATOMIC_SEQ_CST);
}

/* Of a head, or a word of a note. */
static uint64_t compare_and_swap(volatile uint64_t *place, uint64_t expected, uint64_t value)
{
	access_memory((const void *)place, false);
	__atomic_compare_exchange_n(place, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}

uint64_t __tsan_atomic64_compare_exchange_val(volatile uint64_t *place, uint64_t expected, uint64_t value,
					      int order, int fail_order);
uint64_t __tsan_atomic64_compare_exchange_val(volatile uint64_t *place, uint64_t expected, uint64_t value,
					      int order, int fail_order)
{
	(void)order;
	(void)fail_order;
	return compare_and_swap(place, expected, value);
}

int __tsan_atomic64_compare_exchange_strong(volatile uint64_t *place, uint64_t *expected, uint64_t value,
					    int order, int fail_order);
int __tsan_atomic64_compare_exchange_strong(volatile uint64_t *place, uint64_t *expected, uint64_t value,
					    int order, int fail_order)
{
	uint64_t wanted = *expected;

	(void)order;
	(void)fail_order;
	*expected = compare_and_swap(place, wanted, value);
	return *expected == wanted;
}
