/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reading a message back: the head as values, the entries one after another straight from the text, without a
 * tree and without copies of strings (a tree of jansson costs 3 us per entry, this 0.3). For the tables of
 * netlogctl, and for sinks that send something other than the message itself.
 *
 * Unknown members are skipped; a known one of another type, or that occurs twice, is an error. Text is JSON
 * as in RFC 8259; names and addresses with escapes in them are not recognised.
 */

#include "common/connection.h"
#include "common/json_scan.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message {
	/* of "logtail"; zero if missing */
	int64_t client_time; /* wall clock, ns */
	uint32_t proc_id;
	uint64_t proc_seq; /* 0 in messages about losses too, which have none */

	char *text;	 /* of a text message, unescaped; NULL in a message of a window */
	char *node_id;	 /* NULL: none */
	bool has_window; /* has start and end */
	int64_t start;	 /* wall clock, ns, inclusive */
	int64_t end;	 /* the same */
	/* Who is who is not worth the counts: members of nodes may be missing or of any type. */
	json_t *src_node;  /* object, or NULL */
	json_t *dst_nodes; /* array of anything, or NULL */
	struct counts overflow_tun;
	struct counts overflow_sock;

	/* The text of each list of entries; data is NULL for a missing one. */
	struct json_slice lists[N_CLASSES];
};

/*
 * Reads the head of one message and finds its lists. The text must outlive the message, which borrows the
 * entries from it. 0; -EBADMSG if it is not a JSON object or a known member is wrong (entries are checked
 * only when they are taken); -ENOMEM. *ret_message is untouched on failure.
 */
int message_parse(const char *data, size_t length, struct message *ret_message);
void message_deinit(struct message *message);

/* It is one of ours: a window or a text. */
bool message_is_known(const struct message *message);

/* A place in a message's entries. Copyable. */
struct message_entries {
	const struct message *message;
	unsigned int class; /* of the entries that come next */
	bool open;	    /* in the middle of its list */
	struct json_scan scan;
	struct json_slice drop_reason; /* of the entry taken last, the kernel's name; length 0: none */
};

struct message_entries message_entries(const struct message *message);
/*
 * The next entry: 1; 0 after the last; -EBADMSG if it is malformed, then and in further calls. Of its details
 * there are opener, starts, ends, flags and drops; the reason for these is in `entries`, as text.
 */
int message_entries_next(struct message_entries *entries, enum traffic_class *ret_class,
			 struct flow *ret_flow);
