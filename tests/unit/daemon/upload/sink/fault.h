/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * System calls that fail, each in its turn: once, or all of its kind for a while. The calls are wrapped by
 * the linker (meson.build), so that what fails is what the sources call, and the test's own calls do not
 * count.
 */

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
	FAULT_OPEN,
	FAULT_READ,
	FAULT_LIST,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_RENAME,
	FAULT_ALLOCATE,
};

extern struct fault {
	bool armed; /* calls count */
	enum fault_kind kind;
	unsigned int at; /* the one that fails; 0: none */
	unsigned int calls;
	int error;
	bool lasting;
	bool hit;
	int64_t until;
	/* The reader leaves out this message, until that is seen or always: a fault of its own, not of a
	 * call. */
	uint64_t skip;
	bool skip_always;
} fault;
