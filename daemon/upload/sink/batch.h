/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* From the spool into a batch. */

#include "daemon/upload/sink/state.h"

/*
 * Fills the batch, for a bounded time. 1: it is complete; 0: waits for more; -EAGAIN: call again soon;
 * -EBADMSG: the message at hand cannot be sent; another -errno: the spool cannot be read now.
 */
int sink_gather(struct sink *sink);
/* Nothing is read for SINK_RETRY, whatever wakes the sink. */
void sink_pause_reading(struct sink *sink);
/* Moves the next flush to a time after now. */
void sink_set_next_flush(struct sink *sink);

/* Empties the batch; reading continues after this position. */
void sink_restart_at(struct sink *sink, const struct spool_position *position);
/* Empties the batch; reading continues where it is. */
void sink_next_batch(struct sink *sink);
/* Everything up to this position is settled, and the cursor may say so. */
void sink_pass(struct sink *sink, const struct spool_position *end);
/* Forgets the ends of refused batches that were reached. */
void sink_pop_splits(struct sink *sink, uint64_t sequence);
/* Back to the cursor: what was built or set aside since is dropped and read again. */
void sink_go_back(struct sink *sink);

/* Builds some more of the next batch while one is under way. */
void sink_prefetch_batch(struct sink *sink);
/* Drops what was built ahead: the batch is the one under way again, and what follows it is to be read. */
void sink_drop_ahead(struct sink *sink);
