/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Collecting the messages of a window as text and as JSON. */

#include "daemon/record/aggregate.h"

#include <check.h>
#include <errno.h>
#include <jansson.h>

struct messages {
	char *texts[4096];
	size_t sizes[4096];
	size_t n;
	size_t fail_at; /* the message that is refused, from 1; 0 none */
};

static inline int messages_take(const struct buffer *message, void *userdata)
{
	struct messages *messages = userdata;

	if (messages->n + 1 == messages->fail_at)
		return -EIO;
	ck_assert_uint_lt(messages->n, 4096);
	messages->texts[messages->n] = strndup(message->data, message->length);
	messages->sizes[messages->n] = message->length;
	/* No NUL in it, and no newline: it is a line. */
	ck_assert_uint_eq(strlen(messages->texts[messages->n]), message->length);
	ck_assert_ptr_null(strchr(messages->texts[messages->n], '\n'));
	messages->n++;
	return 0;
}

static inline void messages_deinit(struct messages *messages)
{
	for (size_t i = 0; i < messages->n; i++)
		free(messages->texts[i]);
	*messages = (struct messages){};
}

static inline json_t *messages_json(const struct messages *messages, size_t i)
{
	json_error_t error;
	json_t *json = json_loads(messages->texts[i], JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(json != NULL, "message %zu: %s at %d", i, error.text, error.position);
	return json;
}
