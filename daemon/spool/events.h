/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Carries what the spool's thread reports to the loop: how far messages are stored, and what was lost before
 * the spool. */

#include "daemon/spool/writer.h"

struct event_base;
struct spool_events;

struct spool_events_ops {
	void (*stored)(uint64_t sequence, void *userdata);
	void (*lost)(const struct spool_loss *loss, void *userdata);
	/* As struct spool_writer_ops says. */
	void (*changed)(void *userdata);
};

/* Calls ops on the loop. 0 or -errno. */
int spool_events_new(struct event_base *base, const struct spool_events_ops *ops, void *userdata,
		     struct spool_events **ret_events);
void spool_events_free(struct spool_events *events);
/* Takes a loss that the loop has not handled yet; zeros: none. */
void spool_events_take_loss(struct spool_events *events, struct spool_loss *ret_loss);

/* For spool_writer_new(), with the spool_events as its userdata. */
extern const struct spool_writer_ops spool_events_writer_ops;
