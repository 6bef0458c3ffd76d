/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The uploader's end of the socket to the collector (control/org.netlogd.upload.varlink): told what happens,
 * and tells what became of it. Everything works without it, only later: the spool is watched as well.
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
	/* The collector is there: say who we are and how the sinks are. */
	void (*connected)(void *userdata);
	/* It has gone. */
	void (*closed)(void *userdata);
	/* There are new messages. */
	void (*wake)(void *userdata);
	/* Deliver until deadline_ms from now, then link_flushed(). */
	void (*flush)(int64_t id, int64_t deadline_ms, void *userdata);
	/* Private IDs (hex; either may be NULL) for what is logged from now on. Wiped afterwards. */
	void (*log_ids)(const char *node, const char *domain, void *userdata);
	/* Text for the metrics port. */
	void (*metrics)(const char *text, void *userdata);
	void (*reload)(void *userdata);
};

/*
 * Either with a connected descriptor (taken; its end is the end) or, with fd -1, by a broker (borrowed)
 * that is asked again and again. 0 or -errno.
 */
int link_new(struct event_base *base, int fd, struct broker *broker, const struct link_ops *ops,
	     void *userdata, struct link **ret_link);
void link_free(struct link *link);
bool link_is_connected(const struct link *link);

/* Without a connection these do nothing. */
void link_identify(struct link *link, const struct log_id *public_id, const struct log_id *domain_public_id);
void link_report(struct link *link, const struct sink_status *sinks, size_t n);
void link_flushed(struct link *link, int64_t id, uint64_t messages, uint64_t bytes);
