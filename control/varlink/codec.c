/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream arrives in pieces of any size. The decoder scans every byte once, moves bytes only when half of
 * its buffer has been consumed, and never holds more than one message of the largest size and the owner's
 * largest read.
 */

#include "control/varlink/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t decoder_max(const struct varlink_decoder *decoder)
{
	return decoder->max > 0 ? decoder->max : VARLINK_MESSAGE_MAX;
}

/* Moves what is left to the front, and overwrites the rest: it held messages. */
static void decoder_compact(struct varlink_decoder *decoder)
{
	size_t left = decoder->input.length - decoder->consumed;

	if (decoder->consumed == 0)
		return;
	memmove(decoder->input.data, decoder->input.data + decoder->consumed, left);
	explicit_bzero(decoder->input.data + left, decoder->consumed);
	decoder->input.length = left;
	decoder->scanned -= decoder->consumed;
	decoder->consumed = 0;
}

void varlink_decoder_deinit(struct varlink_decoder *decoder)
{
	if (decoder->input.data)
		explicit_bzero(decoder->input.data, decoder->input.length);
	buffer_deinit(&decoder->input);
	decoder->consumed = 0;
	decoder->scanned = 0;
}

int varlink_decoder_feed(struct varlink_decoder *decoder, const void *data, size_t n)
{
	const char *begin, *end;
	size_t rest;

	if (decoder->consumed > 0 && decoder->consumed >= decoder->input.length / 2)
		decoder_compact(decoder);
	buffer_append(&decoder->input, data, n);
	if (buffer_error(&decoder->input) < 0)
		return buffer_error(&decoder->input);
	rest = varlink_decoder_pending(decoder);
	if (rest <= decoder_max(decoder))
		return 0;
	/* How much of it is the unfinished message at the end? */
	begin = decoder->input.data + decoder->consumed;
	end = memrchr(begin, '\0', rest);
	if (end)
		rest -= (size_t)(end - begin) + 1;
	return rest > decoder_max(decoder) ? -EMSGSIZE : 0;
}

/* Whether a message has no more values than it may have. */
static bool has_few_values(const struct varlink_decoder *decoder, const char *message, size_t n)
{
	size_t values = 0;

	if (decoder->max_values == 0 || n <= decoder->max_values)
		return true;
	for (size_t i = 0; i < n; i++)
		values += message[i] == ',' || message[i] == '[' || message[i] == '{';
	return values <= decoder->max_values;
}

/* The next complete message: 1; 0 when there is none; -EMSGSIZE. It stays where it is. */
static int find_message(struct varlink_decoder *decoder, char **ret_begin, size_t *ret_length)
{
	size_t rest = decoder->input.length - decoder->scanned, length;
	char *begin, *end;

	end = rest > 0 ? memchr(decoder->input.data + decoder->scanned, '\0', rest) : NULL;
	if (!end) {
		decoder->scanned = decoder->input.length;
		return 0;
	}
	begin = decoder->input.data + decoder->consumed;
	length = (size_t)(end - begin);
	if (length > decoder_max(decoder) || !has_few_values(decoder, begin, length))
		return -EMSGSIZE;
	*ret_begin = begin;
	*ret_length = length;
	return 1;
}

static void consume_message(struct varlink_decoder *decoder, char *begin, size_t length)
{
	explicit_bzero(begin, length);
	decoder->consumed += length + 1;
	decoder->scanned = decoder->consumed;
	if (decoder->consumed == decoder->input.length) {
		decoder->consumed = decoder->scanned = 0;
		decoder->input.length = 0;
	}
}

int varlink_decode(const char *text, size_t length, json_t **ret_message)
{
	json_t *message = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(message)) {
		json_decref(message);
		return -EBADMSG;
	}
	*ret_message = message;
	return 0;
}

int varlink_decoder_next(struct varlink_decoder *decoder, json_t **ret_message)
{
	size_t length;
	char *begin;
	int r = find_message(decoder, &begin, &length);

	if (r <= 0)
		return r;
	r = varlink_decode(begin, length, ret_message);
	consume_message(decoder, begin, length);
	return r < 0 ? r : 1;
}

int varlink_decoder_next_text(struct varlink_decoder *decoder, size_t least, char **ret_text,
			      size_t *ret_length)
{
	size_t length;
	char *begin, *text;
	int r = find_message(decoder, &begin, &length);

	if (r <= 0)
		return r;
	if (length < least)
		return 0;
	text = malloc(length);
	if (!text)
		return -ENOMEM;
	memcpy(text, begin, length);
	consume_message(decoder, begin, length);
	*ret_text = text;
	*ret_length = length;
	return 1;
}

size_t varlink_decoder_pending(const struct varlink_decoder *decoder)
{
	return decoder->input.length - decoder->consumed;
}

bool varlink_decoder_in_message(const struct varlink_decoder *decoder)
{
	return decoder->input.length > decoder->consumed &&
	       decoder->input.data[decoder->input.length - 1] != '\0';
}

static int append_piece(const char *piece, size_t n, void *output)
{
	buffer_append(output, piece, n);
	return buffer_error(output) < 0 ? -1 : 0;
}

int varlink_encode(struct buffer *output, const json_t *message)
{
	size_t before = output->length;

	if (json_dump_callback(message, append_piece, output, JSON_COMPACT) < 0)
		goto fail;
	buffer_append_char(output, '\0');
	if (buffer_error(output) < 0)
		goto fail;
	return 0;

fail:
	output->length = before;
	return -ENOMEM;
}
