/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The switch that moves both layers to the next window at once. Every counting program reads the epoch once
 * per packet and so selects the side (0 or 1) of all its maps; flipping it is one store. epoch_flip() marks
 * the same moment for tun and sock; the first to drain then waits until no program still uses the old side.
 */

#include "common/cleanup.h"

#include <stdint.h>

struct epoch;

/* Makes the kernel side (a small mmapable array map, and an ARRAY_OF_MAPS for the wait). 0 or -errno. */
int epoch_new(struct epoch **ret_epoch);
void epoch_free(struct epoch *epoch);
DEFINE_CLEANUP(struct epoch *, epoch_free);

/* Descriptor of the array map {u32 epoch} that the programs share (bpf_map__reuse_fd). Borrowed. */
int epoch_map_fd(const struct epoch *epoch);

/*
 * The programs use the other side from now on. Called by the logger's thread before each extraction of tun
 * and sock: at a window's end, and in the middle of one when a map runs full or the routes change.
 */
void epoch_flip(struct epoch *epoch);
/* The side to drain: the one in use before the last flip. 0 or 1. */
unsigned int epoch_old_side(const struct epoch *epoch);
/* Waits until no program still uses the old side; returns at once if it has waited since the last flip. 0 or
 * -errno. */
int epoch_wait(struct epoch *epoch);
/* Waits until every program that is running now has ended (one that was just detached, say). 0 or -errno. */
int epoch_synchronize(struct epoch *epoch);
