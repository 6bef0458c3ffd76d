/* SPDX-License-Identifier: BSD-3-Clause */
/* Which peers the underlay does not show, grouped by the reason. */

#include "daemon/device/wireguard/state.h"

#include <stdio.h>
#include <string.h>

static void write_reason(const struct wireguard *wireguard, const struct wg_peer *peer, enum wg_unseen cause,
			 char *text, size_t size)
{
	static const char *const reasons[N_WG_UNSEEN] = {
		[WG_SEEN] = "",
		[WG_UNSEEN_SHARED] = "another peer has the same endpoint",
		[WG_UNSEEN_DEVICE] = "a device that leads there cannot be watched",
		[WG_UNSEEN_ROUTE] = "no route of this network namespace leads to the endpoint",
		[WG_UNSEEN_PORT] = "its datagrams have another port on the underlay (redirected, or NAT)",
		[WG_UNSEEN_ENDPOINT] = "the endpoint was not known when its traffic began",
		[WG_UNSEEN_NEW] = "a device that leads there was not watched yet",
		[WG_UNSEEN_OTHER] =
			("its datagrams pass no interface that netlogd watches, have another port there, "
			 "or it moved more than once"),
	};
	const char *device = "";
	int error = 0;

	if (cause == WG_UNSEEN_DEVICE)
		underlay_find_gap(wireguard->underlay, peer, &device, &error);
	if (*device)
		snprintf(text, size, "%s, which leads there, cannot be watched: %s", device,
			 strerror(-error));
	else
		snprintf(text, size, "%s", reasons[cause]);
}

/* The group of this reason; the last one takes what finds no room. */
static struct unseen_peers *find_group(struct wireguard *wireguard, const char *cause, const char *reason)
{
	struct unseen_peers *group = wireguard->unseen;

	for (size_t i = 0; i < wireguard->n_unseen; i++, group++)
		if (strcmp(group->cause, cause) == 0 && strcmp(group->reason, reason) == 0)
			return group;
	if (wireguard->n_unseen == UNSEEN_REASONS)
		return group - 1;
	wireguard->n_unseen++;
	*group = (struct unseen_peers){.cause = cause};
	snprintf(group->reason, sizeof(group->reason), "%s", reason);
	return group;
}

void wireguard_list_unseen(struct wireguard *wireguard)
{
	const struct wg_peers *peers = wg_account_peers(wireguard->account);
	bool seen = false;

	wireguard->n_unseen = 0;
	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_balance *balance = wg_account_balance(wireguard->account, i);
		char reason[sizeof(wireguard->unseen->reason)];
		struct unseen_peers *group;

		seen |= balance->seen;
		if (balance->unseen == WG_SEEN)
			continue;
		write_reason(wireguard, &peers->items[i], balance->unseen, reason, sizeof(reason));
		group = find_group(wireguard, wg_unseen_name(balance->unseen), reason);
		if (group->n < UNSEEN_NAMED)
			wg_peer_name(&peers->items[i], group->names[group->n]);
		group->n++;
	}
	wireguard->blind = !seen && wireguard->n_unseen > 0;
}
