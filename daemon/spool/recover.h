/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the spool's store finds in its directory at start. Called once the lock is held. */

struct spool_store;

/*
 * Fills in the store's segments, ids and counters. Removes leftovers, cuts off a torn tail, sets damaged
 * parts aside in "damaged/". 0, -EPROTONOSUPPORT with advice in *ret_reason, or -errno.
 */
int spool_recover(struct spool_store *store, char **ret_reason);
