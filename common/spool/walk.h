/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Goes through the frames of a whole spool, from segment to segment, while segments are added at one end and
 * removed at the other. What the frames mean (seen before, missing) is the reader's business.
 */

#include "common/spool/directory.h"
#include "common/spool/scan.h"

#include <stdbool.h>

struct spool_walk {
	int directory_fd; /* borrowed */
	uint64_t start;	  /* where to begin: the newest segment that begins at this sequence or before */
	/* Begin one segment earlier: after a failed sync it may hold what the next one was to repeat. */
	bool further_back;
	char name[SPOOL_NAME_MAX]; /* of the segment it is in; "" for none */
	int fd;
	struct spool_scan scan;
	bool final;    /* a later segment is there: this one doesn't grow any more */
	bool unusable; /* bytes at the end of a segment, or whole segments, could not be used */
	/* Calls in a row that return -EIO before what can't be read is skipped as damage; 0: none. */
	unsigned int patience;
	unsigned int io_errors; /* so far */
};

enum {
	SPOOL_WALK_END = 0,
	SPOOL_WALK_FRAME = 1,
	SPOOL_WALK_SEGMENT = 2, /* entered another segment: scan.header */
};

void spool_walk_init(struct spool_walk *walk, int directory_fd, uint64_t start);
void spool_walk_deinit(struct spool_walk *walk);
/* One of SPOOL_WALK_*, or -errno; may be called again after an end or an error. */
int spool_walk_next(struct spool_walk *walk, struct spool_frame *ret_frame, const uint8_t **ret_payload);
