#pragma once

/*
 * From a window's counts to its messages: classify, merge, sort, and encode, cut so that no message is larger
 * than allowed. Everything that a reader of the log sees is written here and in text messages below.
 */

#include "common/buffer.h"
#include "common/config.h"
#include "common/connection.h"
#include "daemon/classify.h"

#include <stdbool.h>
#include <stdint.h>

struct nodes; /* daemon/nodes.h: the known node identities, may be NULL */

struct record_settings {
	enum exit_traffic exit_traffic;
	const struct prefix_list *ignore_addrs;
	uint64_t max_message_size; /* bytes, whole message; at least 4096 */
	const char *node_id;	   /* NULL: none */
	const struct nodes *nodes;
};

/* The classified entries of one window, gathered over one or more extractions (a route change extracts in the
 * middle). */
struct record;

int record_new(struct record **ret_record);
void record_free(struct record *record);
/* Forgets all entries; memory beyond the usual is given back. */
void record_reset(struct record *record);

/*
 * Adds the flows of the tun device, classified by routing, or of the sock device (physical). *ret_ignored
 * (may be NULL) takes what was addressed to an ignore_addr. 0 or -ENOMEM, nothing added.
 */
int record_add_tun(struct record *record, const struct flows *flows, const struct routing *routing,
		   const struct record_settings *settings, struct counts *ret_ignored);
int record_add_sock(struct record *record, const struct flows *flows);
void record_add_overflow(struct record *record, const struct counts *tun, const struct counts *sock);
/* Sum of everything added as entries, per layer: one side of the conservation check. */
void record_get_sums(const struct record *record, struct counts *ret_tun, struct counts *ret_sock);
bool record_is_empty(const struct record *record);
size_t record_connections(const struct record *record); /* entries after merging; valid after record_encode */

struct record_window {
	int64_t start; /* wall clock, ns */
	int64_t end;
};

/* Identity of the run and the running number: each message takes the next. */
struct record_sequence {
	uint32_t proc_id;
	uint64_t proc_seq; /* of the last message made; 0 before the first */
};

/* Takes one finished message (one line of JSON, no newline). The buffer is borrowed. 0 or -errno, which ends
 * the encoding. */
typedef int (*record_message_fn)(const struct buffer *message, void *userdata);

/*
 * Merges equal connections of a class, sorts, and hands out the window's messages in order. A window with
 * nothing to tell makes none. client_time: wall clock now.
 */
int record_encode(struct record *record, const struct record_window *window,
		  const struct record_settings *settings, struct record_sequence *sequence,
		  int64_t client_time, record_message_fn message, void *userdata);

/* A text message: {"logtail":{...},"text":"netlogd: ..."} into the buffer (appended). 0 or -ENOMEM. */
int record_encode_text(struct buffer *message, struct record_sequence *sequence, int64_t client_time,
		       const char *text);
