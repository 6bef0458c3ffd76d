/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a userspace VPN hands over on its stats socket (control/org.netlogd.device.varlink), checked as it
 * comes. Neither a reply nor its list is ever held as a whole: what a VPN sends takes no more memory than
 * max_flows entries and a few pieces of STATS_REPLY_PIECE_MAX bytes.
 */

#include "common/buffer.h"
#include "daemon/device/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of one entry, and of all of one part without its entries. A usual entry has a hundred. */
#define STATS_REPLY_PIECE_MAX (64 * 1024)
/* Bytes of all parts of a reply: two million entries. */
#define STATS_REPLY_MAX (256 * 1024 * 1024)

/* How far a JSON text has been gone through, byte by byte. */
struct stats_reply_nesting {
	unsigned int depth; /* brackets that are open */
	bool in_string;
	bool escaped; /* behind a backslash */
};

enum stats_reply_place {
	STATS_REPLY_FRAME,  /* outside the list */
	STATS_REPLY_FIRST,  /* behind the list's opening bracket */
	STATS_REPLY_ENTRY,  /* in an entry */
	STATS_REPLY_BEHIND, /* behind an entry */
	STATS_REPLY_NEXT,   /* behind a comma */
};

/* One reply on its way. Zero-initialised, with the first two members set, it waits for its first byte. */
struct stats_reply {
	struct extraction *extraction;
	uint32_t max_flows;

	enum stats_reply_place place;
	struct buffer frame; /* the part without the entries of its list */
	struct stats_reply_nesting in_frame;
	bool in_parameters;
	struct buffer entry; /* the beginning of one whose end has not come */
	struct stats_reply_nesting in_entry;
	uint64_t length; /* of all that has come */
	bool ended;
};

void stats_reply_deinit(struct stats_reply *reply);
#define _cleanup_stats_reply_ _cleanup_(stats_reply_deinit)

/*
 * Takes the next bytes, however they were cut, and adds the connections to the extraction, all to its totals:
 * at most max_flows become entries, the rest goes to overflow. 1 when the last part has ended; 0 while more
 * is to come; -ENOMEM, -EREMOTEIO for an error reply, -EMSGSIZE beyond the bounds above, -EBADMSG when any of
 * it is nonsense, or something follows its end. After an error nothing in the extraction is of known worth.
 */
int stats_reply_feed(struct stats_reply *reply, const char *data, size_t n);
