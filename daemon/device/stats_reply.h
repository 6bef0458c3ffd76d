/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a userspace VPN hands over on its stats socket (control/org.netlogd.device.varlink), checked as it
 * arrives. No reply and no list is ever held as a whole: whatever a VPN sends takes at most the memory of
 * max_flows entries and a few pieces of STATS_REPLY_PIECE_MAX bytes.
 */

#include "common/buffer.h"
#include "daemon/device/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of one entry, and of one part without its entries. A usual entry has a hundred. */
#define STATS_REPLY_PIECE_MAX (64 * 1024)
/* Bytes of all parts of a reply: two million entries. */
#define STATS_REPLY_MAX (256 * 1024 * 1024)

/* The state of a walk through a JSON text, byte by byte. */
struct stats_reply_nesting {
	unsigned int depth; /* open brackets */
	bool in_string;
	bool escaped; /* after a backslash */
};

enum stats_reply_place {
	STATS_REPLY_FRAME,  /* outside the list */
	STATS_REPLY_FIRST,  /* after the list's opening bracket */
	STATS_REPLY_ENTRY,  /* in an entry */
	STATS_REPLY_BEHIND, /* after an entry */
	STATS_REPLY_NEXT,   /* after a comma */
};

/* A reply that is arriving. Set the first two members, and zero the rest. */
struct stats_reply {
	struct extraction *extraction;
	uint32_t max_flows;

	enum stats_reply_place place;
	struct buffer frame; /* the part without the entries of its list */
	struct stats_reply_nesting in_frame;
	bool in_parameters;
	struct buffer entry; /* the beginning of an entry that is not complete yet */
	struct stats_reply_nesting in_entry;
	uint64_t length; /* of all so far */
	bool ended;
};

void stats_reply_deinit(struct stats_reply *reply);
#define _cleanup_stats_reply_ _cleanup_(stats_reply_deinit)

/*
 * Takes the next bytes, wherever they were split, and adds the connections to the extraction: all to its
 * totals, max_flows at most to its entries, the rest to its overflow. 1 after the end of the last part; 0
 * before; -ENOMEM; -EREMOTEIO for an error reply; -EMSGSIZE beyond the limits above; -EBADMSG when any of it
 * is invalid, or something follows its end. After an error the extraction cannot be trusted.
 */
int stats_reply_feed(struct stats_reply *reply, const char *data, size_t n);
