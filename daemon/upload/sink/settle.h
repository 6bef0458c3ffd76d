/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Setting aside what was refused: into quarantine, or lost. */

#include "daemon/upload/sink/state.h"

/*
 * Settles what was refused before the batch that was delivered: a later message was accepted, so these were
 * refused for themselves. Returns the next phase: PHASE_SETTLING when it is to be tried again at retry_at.
 */
enum sink_phase sink_settle(struct sink *sink);
/*
 * Sets aside the batch's only message for good: this kind of sink cannot send it, whatever a server says.
 * Returns the next phase; when it fails, the message is met again.
 */
enum sink_phase sink_set_aside(struct sink *sink);
