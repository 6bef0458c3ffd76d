/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Joining what is known of how a flow's connections went (struct details): parts of one window from several
 * CPUs, and one window after the other.
 */

#include "common/connection.h"

/* Nothing is known. */
bool details_is_zero(const struct details *details);

/* There is nothing that a message would tell. */
bool details_is_empty(const struct details *details);

/*
 * Notes a packet in whatever order packets come. Times go around; they are compared as those since `begin`,
 * no packet's time being before that.
 */
void details_note_packet(struct details *details, uint32_t begin, uint32_t time, bool received);

/*
 * Adds another part of the same flow in the same window. Of the TCP packets that begin and end connections a
 * part has seen all or none; if both have seen some, `more` has seen the later ones. Of packets in general
 * the parts may have seen any: their times say which was the first. The reason for drops is that of the part
 * that has more of them.
 */
void details_add(struct details *sum, const struct details *more);

/* Adds what is known of other connections, in the same time or another. */
void details_add_others(struct details *sum, const struct details *others);

/*
 * Whether the last SYN came from the other end while a connection was open, and is not answered: an attempt,
 * as far as anybody knows; the opener is that connection's.
 */
bool details_is_attempt(const struct details *details);

/*
 * Corrects the TCP details of a time by those of the time right before it: a SYN that repeats the last one
 * begins nothing, and a connection that had ended before ends no more. The opener that was known before is
 * still known.
 */
void details_follow(struct details *details, const struct details *before);
