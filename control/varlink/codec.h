/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Varlink (https://varlink.org/Wire-Protocol): JSON objects, each ended by one NUL byte, over a stream
 * socket. What both sides share: cutting a byte stream into messages, and writing them.
 *
 * Messages may carry a secret (a private log ID), so the decoder overwrites what it has handed out.
 */

#include "common/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_MESSAGE_MAX (1024 * 1024) /* bytes of one message, without its NUL */

/* Reads a stream piece by piece. Zero-initialised is empty; max is set by the owner. */
struct varlink_decoder {
	struct buffer input;
	size_t consumed; /* bytes at the front that were handed out */
	size_t scanned;	 /* no NUL between consumed and here */
	size_t max;	 /* 0: VARLINK_MESSAGE_MAX */
	/*
	 * 0: any. Values (commas and opening brackets, also those in strings) that one message may have. A
	 * mebibyte of the smallest ones takes 80 MB and 70 ms of CPU once it is read.
	 */
	size_t max_values;
};

void varlink_decoder_deinit(struct varlink_decoder *decoder);
/*
 * Takes a copy of the next bytes of the stream, however they were cut. 0, -ENOMEM, or -EMSGSIZE when the
 * unfinished message is larger than max; after an error the stream cannot be read any further.
 */
int varlink_decoder_feed(struct varlink_decoder *decoder, const void *data, size_t n);
/*
 * The next message: 1 with a new reference, 0 when none is complete yet, -EBADMSG when it is not a JSON
 * object (or names a member twice), -EMSGSIZE when it is larger than max or has more than max_values.
 */
int varlink_decoder_next(struct varlink_decoder *decoder, json_t **ret_message);
/*
 * The next message as a copy of its text, when it has at least so many bytes: the caller decodes it with
 * varlink_decode(), and overwrites and frees it. 1; 0 when the next message is smaller or not complete;
 * -ENOMEM or -EMSGSIZE.
 */
int varlink_decoder_next_text(struct varlink_decoder *decoder, size_t least, char **ret_text,
			      size_t *ret_length);
/* 0 with a new reference, or -EBADMSG as above. */
int varlink_decode(const char *text, size_t length, json_t **ret_message);
/* Bytes not handed out yet. */
size_t varlink_decoder_pending(const struct varlink_decoder *decoder);
/* Whether the stream ends in the middle of a message. */
bool varlink_decoder_in_message(const struct varlink_decoder *decoder);

/* Appends the message and its NUL; 0 or -ENOMEM (the buffer is as before, but its error is set). */
int varlink_encode(struct buffer *output, const json_t *message);
