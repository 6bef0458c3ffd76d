/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Checks a whole spool: behind `netlogctl spool check`. (`spool export` and `flows` read with a
 * spool_reader.) */

#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spool_finding_kind {
	SPOOL_FOUND_DAMAGED_SEGMENT, /* no sound header: nothing in it can be delivered */
	SPOOL_FOUND_DAMAGED_FRAMES,  /* bytes inside a segment that are not a sound frame */
	SPOOL_FOUND_GAP,	     /* messages that were written and are missing */
	SPOOL_FOUND_TORN_TAIL,	     /* the unfinished last write of a run: not damage */
	SPOOL_FOUND_LEFTOVER,	     /* a temporary file of a run that was killed: not damage */
};

struct spool_finding {
	enum spool_finding_kind kind;
	const char *name;	  /* of the segment or file; for a gap, the segment behind it */
	uint64_t offset, length;  /* in the file; 0 for a gap */
	uint64_t messages, bytes; /* of a gap */
	int64_t from, to;	  /* of a gap: the times of the messages around it, 0 unknown */
	int error;		  /* of a damaged segment: -EBADMSG, or the -errno of reading it */
};

/* The kind in a few words: "damaged frames", … */
const char *spool_finding_name(enum spool_finding_kind kind);

struct spool_report {
	char spool_id[SPOOL_ID_TEXT_MAX]; /* of the newest segment; "" for an empty spool */
	uint64_t segments;
	uint64_t file_bytes;	    /* of segments */
	uint64_t messages, bytes;   /* sound messages, each counted once, before compression */
	uint64_t repeated_messages; /* written again after a failed sync */
	uint64_t removed_messages,
		removed_bytes; /* before the first: the spool does not reach further back */
	uint64_t first_sequence, last_sequence;
	int64_t first_time, last_time;
	uint64_t damaged_segments, damaged_regions, damaged_bytes;
	uint64_t gaps, missing_messages, missing_bytes;
	uint64_t torn_tails, torn_bytes;
	uint64_t leftovers;
	bool in_use; /* a daemon holds it: the end may be in the middle of a write */
};

/* Whether there is no damage and no gap. */
bool spool_report_is_sound(const struct spool_report *report);

/* Called for each finding, in order; may be NULL. */
typedef void (*spool_found)(const struct spool_finding *finding, void *userdata);

/*
 * Reads every segment. 0 also when damage is found; -EPROTONOSUPPORT for a newer format; -ENOENT, -EACCES and
 * others. Works with or without a running daemon, and does not disturb it.
 */
int spool_check(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report);
