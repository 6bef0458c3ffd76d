/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Varlink (https://varlink.org/Wire-Protocol): JSON objects, each ended by one NUL byte, over a stream
 * socket. Here is what both sides share: cutting a byte stream into messages, and writing them.
 *
 * Messages may carry a secret (a private log ID), so the decoder overwrites what it has handed out.
 */

#include "common/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_MESSAGE_MAX (1024 * 1024) /* bytes that one message may have, without its NUL */

/* Reads a stream piece by piece. Zero-initialised is empty; max is set by the owner. */
struct varlink_decoder {
	struct buffer input;
	size_t consumed; /* bytes at the front that were handed out */
	size_t scanned;	 /* up to here there is no NUL after consumed */
	size_t max;	 /* 0: VARLINK_MESSAGE_MAX */
	/*
	 * 0: any. Values (commas and opening brackets, also those in strings) that one message may have. A
	 * mebibyte of the smallest ones takes 80 MB and 70 ms of CPU once it is read.
	 */
	size_t max_values;
};

void varlink_decoder_deinit(struct varlink_decoder *decoder);
/*
 * Takes a copy of bytes as they come, however they were cut. 0, -ENOMEM, or -EMSGSIZE when what is there
 * without an end is larger than max; after an error the stream is of no more use.
 */
int varlink_decoder_feed(struct varlink_decoder *decoder, const void *data, size_t n);
/*
 * The next message: 1 with a new reference, 0 when there is no whole one yet, -EBADMSG when it is not a JSON
 * object (or names a member twice), -EMSGSIZE when it is larger than max or has more than max_values.
 */
int varlink_decoder_next(struct varlink_decoder *decoder, json_t **ret_message);
/* Bytes taken and not handed out yet. */
size_t varlink_decoder_pending(const struct varlink_decoder *decoder);
/* Whether the last bytes taken are the beginning of a message that waits for its rest. */
bool varlink_decoder_in_message(const struct varlink_decoder *decoder);

/* Appends the message and its NUL; 0 or -ENOMEM (the buffer is as before, but its error is set). */
int varlink_encode(struct buffer *output, const json_t *message);
