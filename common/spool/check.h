/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Looks a whole spool through, and mends what can be mended: behind `netlogctl spool check` and `spool
 * repair`.
 * (`spool export` and `flows` read with a spool_reader.)
 */

#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spool_finding_kind {
	SPOOL_FOUND_DAMAGED_SEGMENT, /* no sound header: nothing in it can be delivered */
	SPOOL_FOUND_DAMAGED_FRAMES,  /* bytes inside a segment that are no frame, or no sound one */
	SPOOL_FOUND_GAP,	     /* messages that were written and are not there */
	SPOOL_FOUND_TORN_TAIL,	     /* the unfinished last write of a run: no damage */
	SPOOL_FOUND_LEFTOVER,	     /* a temporary file of a run that was killed: no damage */
};

struct spool_finding {
	enum spool_finding_kind kind;
	const char *name;	  /* of the segment or file; for a gap, the segment behind it */
	uint64_t offset, length;  /* in the file; 0 for a gap */
	uint64_t messages, bytes; /* of a gap */
	int64_t from, to;	  /* of a gap: the times of the messages around it, 0 not known */
	int error;		  /* of a damaged segment: -EBADMSG, or what reading said */
};

/* "damaged frame", … : the kind in a few words. */
const char *spool_finding_name(enum spool_finding_kind kind);

struct spool_report {
	char spool_id[SPOOL_ID_TEXT_MAX]; /* of the newest segment; "" for an empty spool */
	uint64_t segments;
	uint64_t file_bytes;	    /* of segments */
	uint64_t messages, bytes;   /* sound ones, each once, before compression */
	uint64_t repeated_messages; /* written again after a failed sync */
	uint64_t first_sequence, last_sequence;
	int64_t first_time, last_time;
	uint64_t damaged_segments, damaged_regions, damaged_bytes;
	uint64_t gaps, missing_messages, missing_bytes;
	uint64_t torn_tails, torn_bytes;
	uint64_t leftovers;
	bool in_use; /* a daemon holds it: the end may be in the middle of a write */
};

/* Whether everything that was written and is still kept is sound: no damage and no gap. */
bool spool_report_is_sound(const struct spool_report *report);

/* Called for each thing found, in order; may be NULL. */
typedef void (*spool_found)(const struct spool_finding *finding, void *userdata);

/*
 * Reads every segment. 0 also when damage is found; -EPROTONOSUPPORT for a newer format; -ENOENT, -EACCES and
 * others. Needs no daemon and disturbs none.
 */
int spool_check(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report);

/*
 * Cuts off torn tails, removes leftovers, moves segments without a sound header to "damaged/", and takes
 * damaged parts out of the others: they are kept in "damaged/", and what follows them becomes a segment of
 * its own, so that the spool is sound but for gaps that readers tell. Each finding is told before it is
 * mended; *ret_report is the state before. No sound message is lost, whenever it is killed. -EWOULDBLOCK
 * while a daemon holds the spool; -ENOSPC and others: what was mended stays so, and it may be called again.
 */
int spool_repair(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report);
