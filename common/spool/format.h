/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The spool on disk: a directory of append-only segments. All numbers are little-endian and written field by
 * field. A segment is a header, then frames, one a message.
 *
 *	<16 hex digits of the first sequence>-<4 hex digits, the attempt>.seg
 *
 * Names sort as the messages follow each other. A second attempt begins where an earlier one, whose write or
 * sync failed, was not safely on disk: it may repeat its messages, under the same sequences.
 *
 * header (SPOOL_HEADER_SIZE bytes):
 *	  0  8  magic "NLSPOOL\n"
 *	  8  4  format version (SPOOL_VERSION)
 *	 12  4  header size; larger ones may follow in the same version, with the checksum at their end
 *	 16 16  spool id: random, new whenever the spool is recreated or the machine id differs
 *	 32 16  previous spool id: of the spool that this one continues, when the machine id
 *		differed; else zeros
 *	 48 32  SHA-256 of the machine id
 *	 80 32  public log ID that the messages belong to; zeros: the node's configured one
 *	112  8  first sequence
 *	120  8  messages written before this segment, since the spool was made
 *	128  8  bytes (of messages, before compression) written before this segment
 *	136  8  time of the first message, ns since 1970
 *	144 16  boot id of the kernel under which it was written; zeros: unknown
 *	160  4  CRC32C of everything before
 *
 * frame (SPOOL_FRAME_SIZE bytes and the payload):
 *	 0  4  magic fb 4e 4c fe (can't occur in a message, which is UTF-8)
 *	 4  4  flags (SPOOL_FRAME_*)
 *	 8  4  length of the payload as stored
 *	12  4  length of the message (before compression)
 *	16  8  sequence
 *	24  8  time of the message, ns since 1970
 *	32  8  bytes of messages before this one, since the spool was made
 *	40  4  CRC32C of bytes 0 to 39: lengths can be trusted before the payload is there
 *	44  4  CRC32C of bytes 4 to 43 and the payload
 *	48  .. payload
 *
 * Within a segment sequences grow by one. Between segments they may jump: after a power cut, so that a
 * sequence that a reader may have seen is never given to another message. Losses are computed from the
 * messages and bytes before, which do not jump. Sequences begin at 1.
 *
 * A segment is never appended to by another run. Bytes that are not a frame are legal only at the end of a
 * segment (a run that was killed, a disk that refused); anywhere else they are damage.
 *
 * A different machine id (a cloned image) makes a new spool in the same directory, whose sequences continue
 * the old one's. The old messages stay, and are delivered under the old spool id and sequences: the clone
 * sends exactly what the original sends, so that the row key shows that they are the same; and a machine that
 * merely got another id loses nothing. What is recorded from then on belongs to the new spool alone.
 */

#include "common/log_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_VERSION	      1
#define SPOOL_HEADER_SIZE     164
#define SPOOL_HEADER_SIZE_MAX 4096
#define SPOOL_FRAME_SIZE      48
/* Of one message; a longer length is damage. */
#define SPOOL_MESSAGE_MAX (UINT32_C(64) << 20)

#define SPOOL_ID_SIZE	  16
#define SPOOL_ID_TEXT_MAX 33
#define SPOOL_NAME_MAX	  26 /* with the final NUL */

/* Other names in a spool directory. */
#define SPOOL_LOCK_NAME	     "lock"
#define SPOOL_RESERVE_NAME   "reserve"
#define SPOOL_TEMPORARY_NAME "new.tmp"
#define SPOOL_DAMAGED_NAME   "damaged"

#define SPOOL_FRAME_ZSTD UINT32_C(1)

struct spool_id {
	uint8_t bytes[SPOOL_ID_SIZE];
};

struct spool_header {
	uint32_t size; /* as stored; set by decoding */
	struct spool_id spool_id;
	struct spool_id previous_id;
	uint8_t machine[32];
	struct log_id public_id;
	uint64_t first_sequence;
	uint64_t messages_before;
	uint64_t bytes_before;
	int64_t first_time;
	uint8_t boot_id[16];
};

struct spool_frame {
	uint32_t flags;
	uint32_t stored;
	uint32_t length;
	uint64_t sequence;
	int64_t time;
	uint64_t bytes_before;
	uint32_t checksum; /* of the frame with its payload */
};

/* How far a reader has got: everything up to and including this sequence. Zeros: nothing. */
struct spool_position {
	struct spool_id spool_id;
	uint64_t sequence;
	uint64_t messages; /* up to here, since the spool was made */
	uint64_t bytes;
	int64_t time; /* of the last message */
};

/* A segment's size, about: the next message begins another. Small disks have smaller ones. */
#define SPOOL_SEGMENT_SIZE (UINT64_C(16) << 20)

void spool_header_encode(const struct spool_header *header, uint8_t ret_data[static SPOOL_HEADER_SIZE]);
/*
 * Takes the first n bytes of a segment, best SPOOL_HEADER_SIZE_MAX. 0; -EBADMSG when they are not a sound
 * header, or n is too small for it; -EPROTONOSUPPORT for a sound one of a newer version.
 */
int spool_header_decode(const uint8_t *data, size_t n, struct spool_header *ret_header);

/* Writes the frame's header with both checksums; the checksum member is not read. */
void spool_frame_encode(const struct spool_frame *frame, const void *payload,
			uint8_t ret_data[static SPOOL_FRAME_SIZE]);
/* Checks the header alone: 0; -EBADMSG when it is not sound. Unknown flags count as damage. */
int spool_frame_decode(const uint8_t data[static SPOOL_FRAME_SIZE], struct spool_frame *ret_frame);
/* Whether header and payload are as they were written. */
bool spool_frame_check(const struct spool_frame *frame, const uint8_t data[static SPOOL_FRAME_SIZE],
		       const void *payload);
/* The first offset in n bytes at which a frame may begin, n when there is none; the end may cut the magic
 * short. */
size_t spool_frame_search(const void *data, size_t n);

bool spool_id_is_zero(const struct spool_id *id);
bool spool_id_equal(const struct spool_id *a, const struct spool_id *b);
void spool_id_format(const struct spool_id *id, char ret_text[static SPOOL_ID_TEXT_MAX]);

void spool_name_format(uint64_t first_sequence, unsigned int attempt, char ret_name[static SPOOL_NAME_MAX]);
/* 0; -EINVAL when it is not a segment's name. */
int spool_name_parse(const char *name, uint64_t *ret_first_sequence, unsigned int *ret_attempt);
