/* SPDX-License-Identifier: BSD-3-Clause */
/* What all sources share: little, since a device is known only by its operations. */

#include "daemon/device/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void extraction_deinit(struct extraction *extraction)
{
	flows_deinit(&extraction->flows);
	*extraction = (struct extraction){};
}

int extraction_reserve(struct extraction *extraction, size_t n)
{
	struct flows *flows = &extraction->flows;

	if (extraction->taker && flows->n > 0 && flows->n + n > EXTRACTION_SLICE) {
		for (size_t i = 0; i < flows->n; i++)
			counts_add(&extraction->taken, &flows->items[i].counts);
		extraction->n_taken += flows->n;
		extraction->taker->take(flows, extraction->taker->userdata);
		flows->n = 0;
	}
	return flows_reserve(flows, n);
}

void extraction_merge(struct extraction *extraction, struct extraction *from)
{
	struct flows *flows = &extraction->flows;

	if (flows->n == 0) {
		flows_deinit(flows);
		*flows = from->flows;
		from->flows = (struct flows){};
	} else if (flows_reserve(flows, from->flows.n) == 0) {
		if (from->flows.n > 0)
			memcpy(flows->items + flows->n, from->flows.items,
			       from->flows.n * sizeof(*flows->items));
		flows->n += from->flows.n;
	} else {
		for (size_t i = 0; i < from->flows.n; i++)
			counts_add(&extraction->overflow, &from->flows.items[i].counts);
	}
	counts_add(&extraction->taken, &from->taken);
	extraction->n_taken += from->n_taken;
	counts_add(&extraction->totals, &from->totals);
	counts_add(&extraction->overflow, &from->overflow);
	counts_add(&extraction->unknown, &from->unknown);
	counts_add(&extraction->unseen, &from->unseen);
	counts_add(&extraction->inexact, &from->inexact);
	extraction->lost_details += from->lost_details;
	extraction->has_totals &= from->has_totals;
	extraction->packets_only |= from->packets_only;
	extraction->errors += from->errors;
	extraction->bypassed += from->bypassed;
	extraction_deinit(from);
}

const char *device_load_error(int r)
{
	if (r == -ESRCH)
		return "the kernel has no type information (BTF: CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux)";
	return strerror(-r);
}

int device_explain(int r, const char *text, char **ret_reason)
{
	if (r < 0 && ret_reason && asprintf(ret_reason, "%s: %s", text, device_load_error(r)) < 0)
		*ret_reason = NULL;
	return r;
}

const char *device_path_name(enum device_path path)
{
	static const char *const names[] = {
		[DEVICE_PATH_UNKNOWN] = "",
		[DEVICE_PATH_DIRECT] = "direct",
		[DEVICE_PATH_DERP] = "derp",
		[DEVICE_PATH_RELAY] = "relay",
	};

	return names[path];
}

bool device_peer_is_reached(const struct device_peer *peer)
{
	return peer->last_handshake || peer->last_seen || peer->rx_bytes;
}
