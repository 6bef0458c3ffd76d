/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The uploader's end of the link to the daemon (control/org.netlogd.upload.varlink): it receives events and
 * reports the sinks' states. Delivery works without it, only later, since the spool is watched as well.
 */

#include "common/log_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct event_base;
struct link;
struct sink_status;

struct link_ops {
	/* The daemon is there: identify and report. */
	void (*connected)(void *userdata);
	/* It is gone. */
	void (*closed)(void *userdata);
	/* There are new messages. */
	void (*wake)(void *userdata);
	/* Deliver until deadline_ms from now, then link_flushed(). */
	void (*flush)(int64_t id, int64_t deadline_ms, void *userdata);
	/* Private IDs (hex; either may be NULL) of what is logged from now on. Wiped afterwards. */
	void (*log_ids)(const char *node, const char *domain, void *userdata);
	/* Text for the metrics port. */
	void (*metrics)(const char *text, void *userdata);
	void (*reload)(void *userdata);
};

/*
 * Over a connected descriptor (taken; never reconnects) or, with fd -1, over connections from the broker
 * (borrowed), which is asked until it has one. 0 or -errno.
 */
int link_new(struct event_base *base, int fd, struct broker *broker, const struct link_ops *ops,
	     void *userdata, struct link **ret_link);
void link_free(struct link *link);
bool link_is_connected(const struct link *link);

/* Without a connection these do nothing. stored: the log IDs that were last received. */
void link_identify(struct link *link, const struct log_id *public_id, const struct log_id *domain_public_id,
		   bool stored);
void link_report(struct link *link, const struct sink_status *sinks, size_t n);
void link_flushed(struct link *link, int64_t id, uint64_t messages, uint64_t bytes);
