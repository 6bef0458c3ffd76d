/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a flow's SYN, FIN and RST packets said, in the daemon's own form. */

#include "common/connection.h"
#include "daemon/bpf/control.h"

_Static_assert((int)CONTROL_SRC == (int)OPENER_SRC && (int)CONTROL_DST == (int)OPENER_DST &&
		       (int)CONTROL_BOTH == (int)OPENER_BOTH,
	       "the same numbers");
_Static_assert((int)CONTROL_HAS_SYN == (int)DETAILS_HAS_SYN &&
		       (int)CONTROL_EARLY_END == (int)DETAILS_EARLY_END &&
		       (int)CONTROL_ENDED == (int)DETAILS_ENDED &&
		       (int)CONTROL_FIRST_SYN_RECEIVED == (int)DETAILS_FIRST_SYN_RECEIVED &&
		       (int)CONTROL_LAST_SYN_RECEIVED == (int)DETAILS_LAST_SYN_RECEIVED &&
		       (int)CONTROL_OPENERS_DIFFER == (int)DETAILS_OPENERS_DIFFER &&
		       (int)CONTROL_FIRST_ENDED == (int)DETAILS_FIRST_ENDED &&
		       (int)CONTROL_ANSWERED == (int)DETAILS_ANSWERED,
	       "the same bits");

#define CONTROL_BITS                                                                                         \
	(CONTROL_HAS_SYN | CONTROL_EARLY_END | CONTROL_ENDED | CONTROL_FIRST_SYN_RECEIVED |                  \
	 CONTROL_LAST_SYN_RECEIVED | CONTROL_OPENERS_DIFFER | CONTROL_FIRST_ENDED | CONTROL_ANSWERED)

/* Sets what `control` knows; flags, first packet and drops stay. */
static inline void control_details(const struct flow_control *control, struct details *details)
{
	details->starts = control->starts;
	details->ends = control->ends;
	details->first_syn = control->first_syn;
	details->last_syn = control->last_syn;
	details->opener = control->opener;
	details->bits = (uint16_t)((details->bits & ~CONTROL_BITS) | control->bits);
}

/* The same step for a source that keeps nothing but details. */
static inline void control_details_step(struct details *details, bool received, uint8_t flags, uint32_t seq)
{
	struct flow_control control = {
		.starts = details->starts,
		.ends = details->ends,
		.first_syn = details->first_syn,
		.last_syn = details->last_syn,
		.bits = details->bits & CONTROL_BITS,
		.opener = details->opener,
	};

	control_step(&control, received, flags, seq);
	control_details(&control, details);
}
