/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From a window's counts to its messages: classify, merge, sort, and encode, cut so that no message is larger
 * than allowed. Everything that a reader of the log sees is written here and in text messages below.
 */

#include "common/buffer.h"
#include "common/config/config.h"
#include "common/connection.h"
#include "daemon/routes/routing.h"

#include <stdbool.h>
#include <stdint.h>

struct nodes; /* daemon/record/nodes.h: the known node identities, may be NULL */

#define MESSAGE_SIZE_MIN 4096

struct record_settings {
	enum exit_traffic exit_traffic;
	const struct prefix_list *ignore_addrs; /* single addresses; may be NULL */
	uint64_t max_message_size;		/* bytes, whole message; at least MESSAGE_SIZE_MIN */
	const char *node_id;			/* NULL: none */
	const struct nodes *nodes;
	/* This machine's addresses (routes_local_addrs()): when no known node has the node_id, this node is
	 * the one that owns the first of these that a node owns. May be NULL. */
	const struct prefix_list *local_addrs;
};

/* The classified entries of one window, gathered over one or more extractions (a route change extracts in the
 * middle). Equal connections of a class are merged as they are added. */
struct aggregate;

/* 0 or -errno (-ENOMEM; or there are no random numbers). */
int aggregate_new(struct aggregate **ret_aggregate);
/*
 * How many entries each layer may have in a window (0: as many as come). What would be one more is counted as
 * the layer's overflow instead, so that a scan can't take the memory of the machine. Aggregated exit traffic
 * is one entry beyond it.
 */
void aggregate_set_bound(struct aggregate *aggregate, size_t entries);
void aggregate_free(struct aggregate *aggregate);
DEFINE_CLEANUP(struct aggregate *, aggregate_free);
/* Forgets all entries; memory beyond the usual is given back. */
void aggregate_reset(struct aggregate *aggregate);

/*
 * Adds the flows of the tun device, classified by routing, or of the sock device (physical). *ret_ignored
 * (may be NULL) takes what this call left out because it was addressed to an ignore_addr, *ret_overflow (may
 * be NULL) what was beyond the bound; it is in the window's overflow already. A flow whose counts are all
 * zero says nothing and is left out. 0 or -ENOMEM, nothing added.
 *
 * May be called as often as needed: whoever has many flows hands them over in slices ({.items = first,
 * .n = some}) and frees each, so that a large window is never held twice.
 */
int aggregate_add_tun(struct aggregate *aggregate, const struct flows *flows, const struct routing *routing,
		      const struct record_settings *settings, struct counts *ret_ignored,
		      struct counts *ret_overflow);
int aggregate_add_sock(struct aggregate *aggregate, const struct flows *flows, struct counts *ret_overflow);
/* Adds to the window's overflow; either may be NULL. */
void aggregate_add_overflow(struct aggregate *aggregate, const struct counts *tun, const struct counts *sock);
/* Sum of everything added as entries, per layer: one side of the conservation check. */
void aggregate_get_sums(const struct aggregate *aggregate, struct counts *ret_tun, struct counts *ret_sock);
bool aggregate_is_empty(const struct aggregate *aggregate);
size_t aggregate_connections(const struct aggregate *aggregate); /* entries, merged */

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
typedef int (*encode_message_fn)(const struct buffer *message, void *userdata);

/*
 * Sorts, and hands out the window's messages in order. A window with nothing to tell makes none. client_time:
 * wall clock now. 0; -ENOMEM before the first message was handed out, so that it can be tried again; or what
 * message() returned. The entries stay until aggregate_reset().
 *
 * srcNode and dstNodes are a help for the reader: the identity of a node that is so large that it might leave
 * no room for an entry is left out, never the entry.
 */
int encode_window(struct aggregate *aggregate, const struct record_window *window,
		  const struct record_settings *settings, struct record_sequence *sequence,
		  int64_t client_time, encode_message_fn message, void *userdata);

/* A text message: {"logtail":{...},"text":"netlogd: ..."} into the buffer (appended). The text comes without
 * the "netlogd: ", and is cut at ENCODE_TEXT_MAX bytes. 0 or -ENOMEM, the sequence unchanged. */
int encode_text(struct buffer *message, struct record_sequence *sequence, int64_t client_time,
		const char *text);
#define ENCODE_TEXT_MAX 600 /* escaped, it still fits into the smallest message */
