/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The messages of a window, sorted and cut so that none is larger than allowed, and text messages. Everything
 * that a reader of the log sees is written here.
 */

#include "common/buffer.h"
#include "daemon/record/aggregate.h"

#include <jansson.h>
#include <stdint.h>

struct nodes;

/* What has found its place in messages, by class. */
struct encode_sums {
	struct counts counts[N_CLASSES];
	uint64_t entries[N_CLASSES];
	uint64_t starts[N_CLASSES]; /* connections that began, by the entries' details */
};

#define ENCODE_MESSAGE_MIN 4096 /* the smallest limit of a message's size, bytes */

struct encode_settings {
	uint64_t max_message_size; /* bytes, whole message; at least ENCODE_MESSAGE_MIN */
	const char *node_id;	   /* NULL: none */
	const struct nodes *nodes; /* NULL: none is known */
	/* This machine's addresses (routes_local_addrs()), by which a known node may be this one
	 * (nodes_self()). May be NULL. */
	const struct prefix_list *local_addrs;
	/* This node as it is written where nodes are known; NULL: as it is known. */
	const struct node *self;
	/* The kernel's name of a reason for drops (letters, digits, underscores); NULL: it has none. May be
	 * NULL itself. */
	const char *(*drop_reason_name)(uint16_t reason);
	struct encode_sums *sums; /* each entry is added once it has its place in a message; may be NULL */
	/* Called for each of physical traffic then; may be NULL. */
	void (*take_physical)(const struct entry *entry, void *userdata);
	void *take_userdata;
};

/* A window. Wall clock, ns. */
struct encode_times {
	int64_t start;
	int64_t end;
};

/* Identity of the run and the running number: each message takes the next. */
struct encode_sequence {
	uint32_t proc_id;
	uint64_t proc_seq; /* of the last message made; 0 before the first */
};

/* Takes one finished message (one line of JSON, no newline). The buffer is borrowed. 0 or -errno, which ends
 * the encoding. */
typedef int (*encode_message_fn)(const struct buffer *message, void *userdata);

/*
 * Sorts, and hands out the window's messages in order. An empty window makes none. client_time: wall clock
 * now. 0; -ENOMEM before the first message was handed out, so that it can be tried again; or what message()
 * returned. The entries stay until aggregate_reset(), and
 * nothing may be added until then.
 *
 * srcNode and dstNodes are a help for the reader: the identity of a node that is so large that it might leave
 * no room for an entry is left out, never the entry.
 */
int encode_window(struct aggregate *aggregate, const struct encode_times *window,
		  const struct encode_settings *settings, struct encode_sequence *sequence,
		  int64_t client_time, encode_message_fn message, void *userdata);

/*
 * A text message, {"logtail":{...},"text":"netlogd: ...","event":{...}}, appended to the buffer. The text is
 * given without the "netlogd: ", and is cut at ENCODE_TEXT_MAX bytes. event: what it says, as members, with
 * "type" among them; borrowed; NULL: left out. Of one with which the message would be larger than
 * ENCODE_MESSAGE_MIN, only the type is written. 0 or -ENOMEM, the sequence unchanged.
 */
int encode_text(struct buffer *message, struct encode_sequence *sequence, int64_t client_time,
		const char *text, const json_t *event);
#define ENCODE_TEXT_MAX 600 /* escaped, it still fits into the smallest message */
