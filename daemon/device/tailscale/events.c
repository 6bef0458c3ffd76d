/* SPDX-License-Identifier: BSD-3-Clause */
/* The node of an event may be another one, or gone, when it is fetched: so all of it is copied. */

#include "daemon/device/tailscale/events.h"

#include "common/parse.h"

#include <errno.h>
#include <string.h>

struct kept {
	struct device_event event;
	char *id, *name, *via, *from_via;
	uint8_t public_key[DEVICE_PEER_KEY_SIZE];
};

struct tailscale_events {
	struct kept items[TAILSCALE_EVENTS_MAX];
	size_t n;
	uint64_t omitted;
};

int tailscale_events_new(struct tailscale_events **ret_events)
{
	struct tailscale_events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	*ret_events = events;
	return 0;
}

static void kept_deinit(struct kept *kept)
{
	free(kept->id);
	free(kept->name);
	free(kept->via);
	free(kept->from_via);
}

void tailscale_events_free(struct tailscale_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->n; i++)
		kept_deinit(&events->items[i]);
	free(events);
}

void tailscale_events_add(const struct device_event *event, struct tailscale_events *events)
{
	struct kept kept = {.event = *event};

	if (events->n == TAILSCALE_EVENTS_MAX || text_copy(event->id, &kept.id) < 0 ||
	    text_copy(event->name, &kept.name) < 0 || text_copy(event->via, &kept.via) < 0 ||
	    text_copy(event->from_via, &kept.from_via) < 0) {
		kept_deinit(&kept);
		events->omitted++;
		return;
	}
	if (event->public_key)
		memcpy(kept.public_key, event->public_key, sizeof(kept.public_key));
	events->items[events->n++] = kept;
}

void tailscale_events_take(struct tailscale_events *events,
			   void (*take)(const struct device_event *event, void *userdata), void *userdata)
{
	struct device_event omitted = {.type = DEVICE_EVENT_OMITTED, .n = events->omitted};

	for (size_t i = 0; i < events->n; i++) {
		struct kept *kept = &events->items[i];

		kept->event.id = kept->id;
		kept->event.name = kept->name;
		kept->event.via = kept->via;
		kept->event.from_via = kept->from_via;
		if (kept->event.public_key)
			kept->event.public_key = kept->public_key;
		take(&kept->event, userdata);
		kept_deinit(kept);
	}
	events->n = 0;
	if (events->omitted > 0)
		take(&omitted, userdata);
	events->omitted = 0;
}
