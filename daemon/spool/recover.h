/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is in the spool's directory at start. Called once the lock is held. */

struct spool_store;

/* After a run whose last writes may be lost, sequences jump by more than a run can have unsynced. */
#define SPOOL_SEQUENCE_JUMP (UINT64_C(1) << 20)

/*
 * Fills in the store's segments, ids and counters. Removes leftovers, cuts off a torn tail, sets damaged
 * parts aside in "damaged/". 0; -EPROTONOSUPPORT with advice in *ret_reason; or another -errno.
 */
int spool_recover(struct spool_store *store, char **ret_reason);
