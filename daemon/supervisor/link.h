/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The daemon's end of the link to the uploader, interface org.netlogd.upload with the daemon as server:
 * wake-ups, flushes and log IDs go out; the public log IDs and the sinks' status come back. Delivery works
 * without it, only later.
 */

#include "common/log_id.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct uploader_link;

struct uploader_link_ops {
	void (*identified)(void *userdata); /* the node's public log ID is known, or another */
	void (*reported)(void *userdata);   /* the sinks' status has changed */
	void (*connected)(bool connected, void *userdata);
	/* Whether a process of this user may be the uploader; others are refused. */
	bool (*is_uploader)(uid_t uid, void *userdata);
};

/* The backlog of the sink that is furthest behind. */
struct uploader_pending {
	bool known; /* false: no uploader has reported yet */
	uint64_t messages;
	uint64_t bytes;
};

typedef void (*uploader_flushed)(const struct uploader_pending *pending, void *userdata);

#define UPLOADER_FLUSHES_MAX 128 /* waiting at once: more than there can be clients */

/* No uploader is connected yet. 0 or -errno. */
int uploader_link_new(struct event_base *base, const struct uploader_link_ops *ops, void *userdata,
		      struct uploader_link **ret_link);
/* Waiting flushes are called back with what is known. NULL is fine. */
void uploader_link_free(struct uploader_link *link);

/* Serves connections on a listening socket, or one end of a socket pair. Owns the descriptor, also on
 * failure. 0 or -errno. */
int uploader_link_listen(struct uploader_link *link, int fd);
int uploader_link_add_connection(struct uploader_link *link, int fd);

bool uploader_link_is_connected(const struct uploader_link *link);
/* The node's; NULL until the uploader has sent it. */
const struct log_id *uploader_link_public_id(const struct uploader_link *link);
/* The domain's; NULL when there is none, or until the uploader has sent it. */
const struct log_id *uploader_link_domain_public_id(const struct uploader_link *link);
/* The sinks as last reported: an array, borrowed; empty before the first report. */
const json_t *uploader_link_sinks(const struct uploader_link *link);
/* The largest backlog reported, plus what was spooled since. False, and nothing set, before the first report.
 */
bool uploader_link_get_pending(const struct uploader_link *link, struct uploader_pending *ret_pending);

/* Messages up to this sequence are in the spool. */
void uploader_link_wake(struct uploader_link *link, uint64_t sequence);
/* So many messages and bytes were ever written to it: sequences jump, and do not tell how many there are. */
void uploader_link_set_written(struct uploader_link *link, uint64_t messages, uint64_t bytes);
/* Asks the uploader to read the configuration again. */
void uploader_link_reload(struct uploader_link *link);
/* Text for the metrics port. */
void uploader_link_set_metrics(struct uploader_link *link, const char *text);
/*
 * Private IDs (hex; NULL: the configured one) for what is logged from now on. They are kept until an uploader
 * is connected, and wiped once sent. 0 or -ENOMEM.
 */
int uploader_link_set_log_ids(struct uploader_link *link, const char *node, const char *domain);
/*
 * Asks the uploader to deliver everything within deadline_ms, and calls back once, at the latest half a
 * second after the deadline. An uploader that reconnects meanwhile is asked again; if none ever reported, the
 * callback comes from the loop at once. 0, -ENOMEM, or -EAGAIN when UPLOADER_FLUSHES_MAX wait.
 */
int uploader_link_flush(struct uploader_link *link, int64_t deadline_ms, uploader_flushed done,
			void *userdata);
/* Drops the flush with this userdata: no callback. */
void uploader_link_forget_flush(struct uploader_link *link, const void *userdata);
/* As a flush, but nobody waits for the answer. */
void uploader_link_hurry(struct uploader_link *link, int64_t deadline_ms);
