/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Requests and replies as both kinds of client need them. */

#include "common/buffer.h"

#include <jansson.h>
#include <stdbool.h>

enum varlink_request_kind {
	VARLINK_REQUEST_ONE = 0,    /* one reply */
	VARLINK_REQUEST_MORE = 1,   /* a stream of replies */
	VARLINK_REQUEST_ONEWAY = 2, /* none */
};

/* Appends a request and its NUL. Takes the reference to parameters (NULL: none). 0 or -ENOMEM. */
int varlink_encode_request(struct buffer *output, const char *method, json_t *parameters,
			   enum varlink_request_kind kind);
/*
 * Parses a reply. Parameters: a new reference, an empty object if there are none. *ret_error: the error's
 * name, owned by the caller, or NULL. ret_continues may be NULL. 0, -ENOMEM, or -EBADMSG when it is not a
 * reply.
 */
int varlink_parse_reply(const json_t *message, json_t **ret_parameters, char **ret_error,
			bool *ret_continues);
