/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining details, such that parts say together what one observer of all packets would have said. */

#include "common/details.h"

#include <string.h>

#define TCP_SYN 0x02
#define TCP_ACK 0x10

bool details_is_zero(const struct details *details)
{
	return memcmp(details, &(struct details){}, sizeof(*details)) == 0;
}

bool details_is_empty(const struct details *details)
{
	return !(details->starts | details->ends | details->tx_drops | details->rx_drops | details->tx_flags |
		 details->rx_flags | details->opener);
}

static uint32_t add(uint32_t a, uint32_t b)
{
	uint32_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT32_MAX : sum;
}

static void copy_bits(struct details *details, uint16_t from, uint16_t bits)
{
	details->bits = (uint16_t)((details->bits & ~bits) | (from & bits));
}

static bool last_syn_received(const struct details *details)
{
	return details->bits & DETAILS_LAST_SYN_RECEIVED;
}

static uint8_t opener_of(bool received)
{
	return received ? OPENER_DST : OPENER_SRC;
}

bool details_is_attempt(const struct details *details)
{
	return details->bits & DETAILS_HAS_SYN && details->opener == opener_of(!last_syn_received(details));
}

/* Whether a SYN was the first here, but begins nothing after what came before. */
static bool begins_nothing(const struct details *details, const struct details *before, bool ended)
{
	bool received = details->bits & DETAILS_FIRST_SYN_RECEIVED;

	if (!(details->bits & DETAILS_HAS_SYN) || !(before->bits & DETAILS_HAS_SYN))
		return false;
	if (received == last_syn_received(before))
		return details->first_syn == before->last_syn;
	/* An opener other than that of the only SYN here: the one before was answered before it. */
	if (details->starts == 1 && details->bits & DETAILS_OPENERS_DIFFER)
		return false;
	/* Both opened it at once: once it is answered, that is over. */
	return !ended && (before->opener == OPENER_BOTH || !(before->bits & DETAILS_ANSWERED));
}

/* Whether the last SYN, which came before all that is here or is sent again, has been answered until now. */
static bool is_answered(const struct details *details, const struct details *before)
{
	bool received = last_syn_received(before);
	uint8_t answer = received ? details->tx_flags : details->rx_flags;

	if ((details->bits | before->bits) & DETAILS_ANSWERED)
		return true;
	/* A part that has no SYN knows an opener by a SYN-ACK, whose flags may be in another part. */
	return before->bits & DETAILS_HAS_SYN &&
	       ((answer & TCP_SYN && answer & TCP_ACK) ||
		(!(details->bits & DETAILS_HAS_SYN) && details->opener == opener_of(received)));
}

/* Nothing has begun here: who opened what goes on. */
static uint8_t lasting_opener(const struct details *details, const struct details *before)
{
	const uint16_t sent_again = details->bits & before->bits & DETAILS_HAS_SYN;
	uint8_t answer = last_syn_received(before) ? details->tx_flags : details->rx_flags;

	/* Still no answer, in a connection of nobody knows whom. */
	if (before->opener == OPENER_UNKNOWN && sent_again && !(answer & TCP_SYN))
		return OPENER_UNKNOWN;
	if (details->opener == OPENER_BOTH || before->opener == OPENER_UNKNOWN)
		return details->opener;
	if (details_is_attempt(before) && details->bits & DETAILS_ANSWERED)
		return opener_of(last_syn_received(before));
	return before->opener;
}

/* The end that opened the first connection that began here. */
static uint8_t first_opener(const struct details *details)
{
	if (!(details->bits & DETAILS_HAS_SYN))
		return details->opener;
	return opener_of(details->bits & DETAILS_FIRST_SYN_RECEIVED);
}

/*
 * Who has opened the last connection, where some began: where all SYNs are of one end and none is answered,
 * it is still the one of before, unless that had ended before the last of them.
 */
static uint8_t last_opener(const struct details *details, const struct details *before, bool ended)
{
	bool received = details->bits & DETAILS_FIRST_SYN_RECEIVED, ends = details->bits & DETAILS_ENDED;
	uint8_t answer = received ? details->tx_flags : details->rx_flags;

	if (details->opener != opener_of(received) || details->bits & DETAILS_ANSWERED || answer & TCP_SYN)
		return details->opener;
	/* An end before the last one is one between SYNs. */
	if (ended || details->ends != ends || !(before->bits & DETAILS_HAS_SYN) ||
	    before->opener != opener_of(!received))
		return details->opener;
	return before->opener;
}

void details_follow(struct details *details, const struct details *before)
{
	bool ended = before->bits & DETAILS_ENDED, began = details->starts > 0, crossing = false;

	if (details->bits & DETAILS_EARLY_END) {
		details->ends -= ended;
		ended = true;
	}
	if (begins_nothing(details, before, ended)) {
		crossing = !(details->bits & DETAILS_FIRST_SYN_RECEIVED) == last_syn_received(before);
		details->starts--;
		if (ended && details->bits & DETAILS_FIRST_ENDED)
			details->ends--;
	}
	if (details->starts == 0) {
		if (began) {
			details->last_syn = before->last_syn;
			copy_bits(details, before->bits, DETAILS_LAST_SYN_RECEIVED);
		}
		details->bits |= ended ? DETAILS_ENDED : 0;
		details->bits |= is_answered(details, before) ? DETAILS_ANSWERED : 0;
		details->opener = crossing ? OPENER_BOTH : lasting_opener(details, before);
	} else if (!crossing) {
		details->opener = last_opener(details, before, ended);
		/* What came before is part of this time only if it had not ended. */
		if (first_opener(details) != before->opener && before->opener != OPENER_UNKNOWN &&
		    (!(before->bits & DETAILS_ENDED) || details->bits & DETAILS_EARLY_END))
			details->bits |= DETAILS_OPENERS_DIFFER;
	} else {
		details->bits |= DETAILS_OPENERS_DIFFER;
	}
}

/* The first packet of both. */
static void join_first(struct details *sum, const struct details *more)
{
	const uint16_t bits = DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED | DETAILS_FIRST_EITHER;
	/* The clock may have gone around. */
	int32_t later = (int32_t)(more->first_time - sum->first_time);

	if (!(more->bits & DETAILS_HAS_FIRST))
		return;
	if (!(sum->bits & DETAILS_HAS_FIRST) || later < 0) {
		sum->first_time = more->first_time;
		copy_bits(sum, more->bits, bits);
	} else if (later == 0 && (sum->bits ^ more->bits) & (DETAILS_FIRST_RECEIVED | DETAILS_FIRST_EITHER)) {
		sum->bits |= DETAILS_FIRST_EITHER;
	}
}

void details_note_packet(struct details *details, uint32_t begin, uint32_t time, bool received)
{
	const struct details packet = {
		.first_time = time,
		.bits = (uint16_t)(DETAILS_HAS_FIRST | (received ? DETAILS_FIRST_RECEIVED : 0)),
	};
	bool later = time - begin > details->first_time - begin;

	if (details->bits & DETAILS_HAS_FIRST && later)
		return;
	if (time != details->first_time)
		details->bits &= (uint16_t)~DETAILS_HAS_FIRST;
	join_first(details, &packet);
}

static void join_connections(struct details *sum, const struct details *more)
{
	bool one = sum->starts == 1 && !(sum->bits & DETAILS_ENDED);

	if (!(sum->bits & DETAILS_HAS_SYN)) {
		sum->first_syn = more->first_syn;
		copy_bits(sum, more->bits,
			  DETAILS_HAS_SYN | DETAILS_FIRST_SYN_RECEIVED | DETAILS_FIRST_ENDED);
		sum->bits |= more->bits & DETAILS_EARLY_END;
	} else if (one && (more->bits & DETAILS_EARLY_END ||
			   (more->bits & DETAILS_FIRST_ENDED && begins_nothing(more, sum, false)))) {
		sum->bits |= DETAILS_FIRST_ENDED;
	}
}

static void add_drops(struct details *sum, const struct details *more)
{
	uint64_t before = (uint64_t)sum->tx_drops + sum->rx_drops;

	if ((uint64_t)more->tx_drops + more->rx_drops > before)
		sum->drop_reason = more->drop_reason;
	sum->tx_drops = add(sum->tx_drops, more->tx_drops);
	sum->rx_drops = add(sum->rx_drops, more->rx_drops);
	sum->bits |= more->bits & (DETAILS_SRC_SYN_DROPPED | DETAILS_DST_SYN_DROPPED);
}

void details_add_others(struct details *sum, const struct details *others)
{
	add_drops(sum, others);
	sum->starts = add(sum->starts, others->starts);
	sum->ends = add(sum->ends, others->ends);
	sum->tx_flags |= others->tx_flags;
	sum->rx_flags |= others->rx_flags;
	if (sum->opener != others->opener)
		sum->bits |= DETAILS_OPENERS_DIFFER;
	sum->bits |= others->bits & DETAILS_OPENERS_DIFFER;
}

void details_add(struct details *sum, const struct details *more)
{
	struct details later = *more;

	join_first(sum, more);
	add_drops(sum, more);
	details_follow(&later, sum);
	sum->tx_flags |= more->tx_flags;
	sum->rx_flags |= more->rx_flags;
	if (!(more->starts | more->ends | more->opener) && !(more->bits & DETAILS_HAS_SYN))
		return;
	join_connections(sum, more);
	if (later.starts > 0 && later.starts == more->starts && sum->opener != OPENER_UNKNOWN &&
	    sum->opener != first_opener(more))
		sum->bits |= DETAILS_OPENERS_DIFFER;
	sum->starts = add(sum->starts, later.starts);
	sum->ends = add(sum->ends, later.ends);
	sum->opener = later.opener;
	sum->bits |= later.bits & DETAILS_OPENERS_DIFFER;
	if (more->bits & DETAILS_HAS_SYN) {
		sum->last_syn = later.last_syn;
		copy_bits(sum, later.bits, DETAILS_LAST_SYN_RECEIVED | DETAILS_ENDED | DETAILS_ANSWERED);
	}
	sum->bits |= later.bits & (DETAILS_ENDED | DETAILS_ANSWERED);
}
