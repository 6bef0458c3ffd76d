#pragma once

/*
 * Varlink (https://varlink.org/Wire-Protocol): JSON objects, each ended by one NUL byte, over a stream
 * socket. Here: what both sides share, cutting a byte stream into messages, and their three shapes.
 */

#include "common/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define VARLINK_MESSAGE_MAX (1024 * 1024) /* bytes that one message may have */

/* Reads a stream piece by piece. Zero-initialise; max is set by the owner. */
struct varlink_decoder {
	struct buffer input;
	size_t consumed;
	size_t scanned;
	size_t max; /* 0: VARLINK_MESSAGE_MAX */
};

void varlink_decoder_deinit(struct varlink_decoder *decoder);
/* Takes bytes as they come. 0, -ENOMEM, or -EMSGSIZE when an unfinished message is larger than max. */
int varlink_decoder_feed(struct varlink_decoder *decoder, const void *data, size_t n);
/* The next message: 1 with a new reference, 0 when there is no whole one yet, -EBADMSG when it is not a JSON
 * object. */
int varlink_decoder_next(struct varlink_decoder *decoder, json_t **ret_message);
/* Whether part of a message waits for its rest. */
bool varlink_decoder_in_message(const struct varlink_decoder *decoder);

/* Appends the message and its NUL; 0 or -ENOMEM. */
int varlink_encode(struct buffer *output, const json_t *message);
