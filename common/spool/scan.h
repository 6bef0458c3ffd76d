/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reads the frames of one segment, which may still grow. Damaged bytes are skipped up to the next sound
 * frame; what is returned is exactly what was written. Shared by reader, recovery and check.
 */

#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool_scan {
	int fd; /* borrowed */
	struct spool_header header;
	uint64_t offset;    /* of the next frame, or of what may become one */
	uint64_t expected;  /* its sequence, if nothing is damaged */
	uint64_t end_bytes; /* messages' bytes up to the offset, since the spool was made */
	bool resync;	    /* the bytes before are damaged: sequences may be missing */
	uint64_t searched;  /* no frame begins between offset and here */
	uint64_t damaged;   /* regions skipped so far */
	/* Called for each damaged region, if set. */
	void (*on_damage)(uint64_t offset, uint64_t length, void *userdata);
	void *userdata;

	uint8_t *buffer;
	size_t allocated;
	uint64_t buffer_offset; /* in the file */
	size_t buffer_length;
};

/* For a segment whose header has been read. The descriptor is borrowed. */
void spool_scan_init(struct spool_scan *scan, int fd, const struct spool_header *header);
void spool_scan_deinit(struct spool_scan *scan);

/*
 * 1 with the next frame and its payload as stored (valid until the next call); 0 when no further whole frame
 * is there yet; -ENOMEM or the -errno of reading. After 0 it may be called again: the segment may have grown.
 */
int spool_scan_next(struct spool_scan *scan, struct spool_frame *ret_frame, const uint8_t **ret_payload);
/* The message of a frame: the payload itself, or decompressed into *buffer, which grows as needed (the caller
 * frees it). -EBADMSG when it does not decompress to what the frame says; -ENOMEM. */
int spool_frame_message(const struct spool_frame *frame, const uint8_t *payload, char **buffer,
			size_t *buffer_size, const char **ret_message);
/* Messages before a frame of this segment, since the spool was made. */
uint64_t spool_messages_before(const struct spool_header *header, uint64_t sequence);
