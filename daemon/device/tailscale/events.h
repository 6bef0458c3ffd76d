/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Changes of peers until the logger fetches them. */

#include "common/cleanup.h"
#include "daemon/device/device.h"

/* That are kept; beyond that they are only counted. */
#define TAILSCALE_EVENTS_MAX 256

struct tailscale_events;

/* 0 or -ENOMEM. */
int tailscale_events_new(struct tailscale_events **ret_events);
void tailscale_events_free(struct tailscale_events *events);
DEFINE_CLEANUP(struct tailscale_events *, tailscale_events_free);

/* Keeps a copy. */
void tailscale_events_add(const struct device_event *event, struct tailscale_events *events);
/* Calls back for each, oldest first, and forgets them. */
void tailscale_events_take(struct tailscale_events *events,
			   void (*take)(const struct device_event *event, void *userdata), void *userdata);
