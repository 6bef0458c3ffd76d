/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The collector's end of the small socket to the uploader: wake-ups, flushes and log IDs go out; the public
 * log ID and the sinks' status come back. Interface org.netlogd.upload, with the collector as the server. The
 * spool works without it.
 */

#include "common/log_id.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct uploader_link;

struct uploader_link_ops {
	void (*identified)(void *userdata); /* the node's public log ID is known */
	void (*reported)(void *userdata);   /* the sinks' status has changed */
	void (*connected)(bool connected, void *userdata);
	/* Whether processes of this user may be the uploader; others are refused. */
	bool (*is_uploader)(uid_t uid, void *userdata);
};

/* What every sink has not yet taken; of the one that is furthest behind. */
struct uploader_pending {
	bool known; /* false: no uploader has said anything, so nothing is known of any delivery */
	uint64_t messages;
	uint64_t bytes;
};

typedef void (*uploader_flushed)(const struct uploader_pending *pending, void *userdata);

#define UPLOADER_FLUSHES_MAX 128 /* that may wait at once: more than there are clients */

/* Without an uploader yet. 0 or -errno. */
int uploader_link_new(struct event_base *base, const struct uploader_link_ops *ops, void *userdata,
		      struct uploader_link **ret_link);
/* Flushes that wait are answered with what is known. */
void uploader_link_free(struct uploader_link *link);

/* Either takes connections on a listening socket, or a child's end of a pair; the descriptor is owned from
 * here on, also on failure. 0 or -errno. */
int uploader_link_listen(struct uploader_link *link, int fd);
int uploader_link_add_connection(struct uploader_link *link, int fd);

bool uploader_link_is_connected(const struct uploader_link *link);
/* NULL until the uploader has said it. */
const struct log_id *uploader_link_public_id(const struct uploader_link *link);
/* NULL while there is none, or the uploader has not said it. */
const struct log_id *uploader_link_domain_public_id(const struct uploader_link *link);
/* The sinks as last reported: an array, borrowed. */
const json_t *uploader_link_sinks(const struct uploader_link *link);
/* The largest backlog reported, with what came to the spool since. False when nothing is known. */
bool uploader_link_get_pending(const struct uploader_link *link, struct uploader_pending *ret_pending);

/* Messages up to this sequence are in the spool. */
void uploader_link_wake(struct uploader_link *link, uint64_t sequence);
/* The configuration is to be read again. */
void uploader_link_reload(struct uploader_link *link);
/* Text for the metrics port. */
void uploader_link_set_metrics(struct uploader_link *link, const char *text);
/*
 * Private IDs (hex; either may be NULL) that the uploader is to keep. They wait here until an uploader is
 * connected and are wiped then. 0 or -ENOMEM.
 */
int uploader_link_set_log_ids(struct uploader_link *link, const char *node, const char *domain);
/*
 * Has everything delivered, for at most deadline_ms, and calls back once, at the latest a little after the
 * deadline. An uploader that comes back meanwhile is asked again; where none ever was it calls back at once
 * from the loop. 0, -ENOMEM or -EAGAIN.
 */
int uploader_link_flush(struct uploader_link *link, int64_t deadline_ms, uploader_flushed done,
			void *userdata);
/* Forgets the flush of this userdata: it is not called back. */
void uploader_link_forget_flush(struct uploader_link *link, const void *userdata);
/* Has everything delivered within deadline_ms, and waits for no answer. */
void uploader_link_hurry(struct uploader_link *link, int64_t deadline_ms);
