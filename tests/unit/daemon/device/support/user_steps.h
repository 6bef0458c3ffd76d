/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One step at a time: threads that take turns, changed at accesses to the table's memory as a seed says, so
 * that what two CPUs do to each other comes again with the seed. And at every access it is checked that what
 * is read or written may be.
 *
 * Without steps_begin() threads run freely and nothing is checked.
 */

#include <stdbool.h>
#include <stdint.h>

/* This thread and so many others (`user_cpu` from 0 on) take turns from now on; this one has the first. */
void steps_begin(uint64_t seed, unsigned int others);
/* The turn changes at every so many accesses, on average: a power of two. */
void steps_set_pace(unsigned int every);
/* In one of the others: waits for its first turn. */
void steps_enter(void);
/* Gives up the turn for good. */
void steps_leave(void);
/* Gives the turn to another, any of them. Without steps: yields the processor. */
void steps_yield(void);
void steps_end(void);

/* A side is empty again: its blocks are nobody's. */
void steps_forget(unsigned int side);
/* The first access that was wrong, or NULL. */
const char *steps_fault(void);
