/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One step at a time: threads take turns, which change at accesses to the table's memory as a seed says, so
 * that the same seed repeats what two CPUs do to each other. Every access is checked: may this CPU read or
 * write there?
 *
 * Without steps_begin() threads run freely and nothing is checked.
 */

#include <stdbool.h>
#include <stdint.h>

/* This thread and so many others (`user_cpu` from 0 on) take turns from now on; this one begins. */
void steps_begin(uint64_t seed, unsigned int others);
/* Accesses between two changes of the turn, on average: a power of two. */
void steps_set_pace(unsigned int every);
/* In another thread: waits for its first turn. */
void steps_enter(void);
/* Gives up the turn for good. */
void steps_leave(void);
/* Gives the turn to another, any of them. Without steps: yields the processor. */
void steps_yield(void);
void steps_end(void);

/* The first invalid access, or NULL. */
const char *steps_fault(void);
