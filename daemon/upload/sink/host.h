/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a sink needs to live, and what it reports. */

#include "daemon/upload/sink/kind.h"

#include <stdbool.h>
#include <stdint.h>

struct sink_host_ops {
	/* Call sink_run() at this boot time (ns), or at once if it is past; replaces the last request. */
	void (*wake_at)(struct sink *sink, int64_t boot, void *userdata);
	/* Something that sink_get_status() reports has changed. */
	void (*changed)(struct sink *sink, void *userdata);
};

struct sink_options {
	const struct sink_ops *ops;
	struct sink_context context; /* sink is filled in */
	int upload_fd;		     /* the upload directory; borrowed, outlives the sink */
	const int *spool_fd;	     /* the spool directory; -1 as long as it does not exist */
	const struct sink_host_ops *host;
	void *host_userdata;
};

enum sink_state { SINK_STATE_IDLE, SINK_STATE_OK, SINK_STATE_RETRYING, SINK_STATE_MISCONFIGURED };

struct sink_status {
	const char *name;
	const char *type;
	enum sink_state state;
	uint64_t backlog_messages, backlog_bytes;
	int64_t oldest;	     /* wall time of the oldest message that is not delivered; 0 none */
	bool backlog_is_old; /* it could not be counted again: these three are the last known */
	uint64_t delivered_sequence;
	bool has_delivered; /* the position of something: then how much of the spool it has passed */
	uint64_t delivered_messages, delivered_bytes;
	int64_t last_success;		  /* wall time; 0 never */
	char last_error[ANSWER_TEXT_MAX]; /* "" for none since the last success */
	char warning[ANSWER_TEXT_MAX];	  /* what to mend though messages go through; "" for nothing */
	uint64_t retries;
	uint64_t lost_messages, lost_bytes;
	uint64_t quarantined;
	uint64_t sent_messages, sent_bytes; /* since the uploader started */
	uint64_t fit_bytes; /* of a batch, while the server can't take larger ones; 0: no such limit */
	uint64_t cursor_violations; /* times that the cursor was about to skip a message */
};
