/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * How the TCP connections of one flow went, from its SYN, FIN and RST packets (RFC 9293, section 3.5) in the
 * order in which they came: for the counting programs, and for the sources that see packets in user space.
 * It knows one window. What came before it is the memory of live connections' (daemon/record/live.h), which
 * takes back what this counts because it did not know.
 */

#include <linux/types.h>
#include <stdbool.h>

enum control_flags { CONTROL_FIN = 0x01, CONTROL_SYN = 0x02, CONTROL_RST = 0x04, CONTROL_ACK = 0x10 };

/* Which end opened the last connection: enum opener in common/connection.h. */
enum control_opener { CONTROL_UNKNOWN, CONTROL_SRC, CONTROL_DST, CONTROL_BOTH };

/* The same bits of enum details_bits. */
enum control_bits {
	CONTROL_HAS_SYN = 1 << 0,	     /* a connection began: first_syn and last_syn are set */
	CONTROL_EARLY_END = 1 << 1,	     /* a FIN or RST came before any SYN */
	CONTROL_ENDED = 1 << 2,		     /* the last connection has ended */
	CONTROL_FIRST_SYN_RECEIVED = 1 << 5, /* the end that began the first connection; else it was sent */
	CONTROL_LAST_SYN_RECEIVED = 1 << 6,  /* the same of the last one */
	CONTROL_OPENERS_DIFFER = 1 << 7,     /* connections were opened by different ends */
	CONTROL_FIRST_ENDED = 1 << 8,	     /* the first connection that began has ended */
	CONTROL_ANSWERED = 1 << 9,	     /* the last SYN's other end has sent a SYN-ACK */
};

/* All zero: no such packet was seen. No padding. */
struct flow_control {
	__u32 starts;
	__u32 ends;
	__u32 first_syn; /* sequence numbers of the SYNs that began the first and the last connection */
	__u32 last_syn;
	__u16 bits; /* enum control_bits */
	__u8 opener;
	__u8 reserved;
};

/*
 * A SYN without ACK. It begins a connection, unless it repeats the one before (same end, same sequence
 * number), or comes from the other end while that one waits for its answer: then both open a connection at
 * once. In one that is answered nobody opens it again, and such a SYN is the other end's own attempt: who
 * opened the connection stays its opener until the attempt is answered.
 */
static inline __attribute__((always_inline)) void control_syn(struct flow_control *control, bool received,
							      __u32 seq)
{
	bool last_received = control->bits & CONTROL_LAST_SYN_RECEIVED;
	bool lives = (control->bits & (CONTROL_HAS_SYN | CONTROL_ENDED)) == CONTROL_HAS_SYN;
	__u8 opener = received ? CONTROL_DST : CONTROL_SRC, other = CONTROL_BOTH - opener;

	if (control->bits & CONTROL_HAS_SYN) {
		if (received == last_received && seq == control->last_syn)
			return;
		if (received != last_received && lives &&
		    (control->opener == CONTROL_BOTH || !(control->bits & CONTROL_ANSWERED))) {
			control->opener = CONTROL_BOTH;
			return;
		}
	} else {
		control->first_syn = seq;
		control->bits |= CONTROL_HAS_SYN | (received ? CONTROL_FIRST_SYN_RECEIVED : 0);
	}
	if (control->opener != CONTROL_UNKNOWN && control->opener != opener)
		control->bits |= CONTROL_OPENERS_DIFFER;
	if (!lives || control->opener != other)
		control->opener = opener;
	control->starts++;
	control->last_syn = seq;
	control->bits &= ~(CONTROL_ENDED | CONTROL_LAST_SYN_RECEIVED | CONTROL_ANSWERED);
	control->bits |= received ? CONTROL_LAST_SYN_RECEIVED : 0;
}

/*
 * Takes the flags of a TCP packet; others than SYN, FIN and RST change nothing. `received`: it came from the
 * connection's destination. `seq`: its sequence number, in any byte order as long as it is always the same.
 */
static inline __attribute__((always_inline)) void control_step(struct flow_control *control, bool received,
							       __u8 flags, __u32 seq)
{
	if (flags & CONTROL_SYN) {
		bool last_received = control->bits & CONTROL_LAST_SYN_RECEIVED;

		if (!(flags & CONTROL_ACK)) {
			control_syn(control, received, seq);
		} else if (control->opener == CONTROL_UNKNOWN) {
			control->opener = received ? CONTROL_SRC : CONTROL_DST;
		} else if (control->bits & CONTROL_HAS_SYN && received != last_received) {
			control->bits |= CONTROL_ANSWERED;
			if (control->opener != CONTROL_BOTH)
				control->opener = received ? CONTROL_SRC : CONTROL_DST;
		}
	}
	if (flags & (CONTROL_FIN | CONTROL_RST) && !(control->bits & CONTROL_ENDED)) {
		control->ends++;
		control->bits |= CONTROL_ENDED;
		if (!(control->bits & CONTROL_HAS_SYN))
			control->bits |= CONTROL_EARLY_END;
		else if (control->starts == 1)
			control->bits |= CONTROL_FIRST_ENDED;
	}
}
