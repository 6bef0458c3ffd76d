/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The user-space side of the table of notes (daemon/bpf/control_note.h): takes the notes of one side, while
 * no program uses it.
 */

#include "daemon/bpf/control_note.h"
#include "daemon/device/device.h"
#include "daemon/device/map_view.h"

#include <stdint.h>

/* Those of one side. Zero-initialised: there are none. */
struct notes {
	struct map_view view;
	uint32_t first; /* its first place */
	uint32_t n;	/* places */
};

/* 0 or -errno. */
int notes_init(struct notes *notes, int fd, uint32_t first, uint32_t n);
void notes_deinit(struct notes *notes);

/* Moves the connection's note, which was made at this place, into the details. Nothing if it has been moved.
 */
void notes_take(struct notes *notes, uint32_t place, const struct flow_key *key, struct details *details);
/* Moves all that are left into flows of their own, without counts. What finds no memory is counted as lost.
 */
void notes_take_rest(struct notes *notes, struct extraction *extraction);
