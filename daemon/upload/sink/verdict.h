/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What follows from the answer to a batch. */

#include "daemon/upload/sink/state.h"

/*
 * Returns the next phase: PHASE_GATHER or PHASE_READY for the next batch, PHASE_WAITING to send the same one
 * again at retry_at, PHASE_SETTLING when the messages refused before it are to be settled.
 */
enum sink_phase sink_apply_verdict(struct sink *sink, const struct answer *answer);
