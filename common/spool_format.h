#pragma once

/*
 * The spool on disk: a directory of append-only segments. All numbers are little-endian and written field by
 * field. A segment is a header, then frames; a reader never needs more than the bytes before it.
 *
 *	<16 hex digits of the first sequence>.seg
 *
 * header (SPOOL_HEADER_SIZE bytes):
 *	 0  8  magic "NLSPOOL1"
 *	 8  4  format version (SPOOL_VERSION)
 *	12  4  header size
 *	16 16  spool id: random, new whenever the spool is made anew or the machine id differs
 *	32 32  SHA-256 of the machine id
 *	64 32  public log ID that the messages belong to; zeros: the node's configured one
 *	96  8  first sequence
 *     104  8  messages written before this segment, since the spool was made
 *     112  8  bytes (of messages, before compression) written before this segment
 *     120  8  time of the first message, ns since 1970
 *     128 16  boot id of the run that writes it... see spool_format.c
 *     144  4  CRC32C of bytes 0 to 143
 *
 * frame:
 *	 0  4  magic
 *	 4  4  flags
 *	 8  4  length of the payload as stored
 *	12  4  length of the message (before compression)
 *	16  8  sequence
 *	24  8  time of the message, ns since 1970
 *	32  4  CRC32C of bytes 4 to 31 and the payload
 *	36  .. payload
 */

#include "common/log_id.h"

#include <stddef.h>
#include <stdint.h>

#define SPOOL_VERSION	  1
#define SPOOL_HEADER_SIZE 148
#define SPOOL_FRAME_SIZE  36
