/* SPDX-License-Identifier: BSD-3-Clause */
/* A comparison of two counters, with care for what is between them. */

#include "daemon/device/bypass.h"

#include <string.h>

/* Packets that may be in an interface's queue and in its qdisc: their usual lengths are 500 and 1000. */
#define QUEUED_MAX 2000

uint64_t interface_sent(const struct interface *interface)
{
	return interface->tx_packets + interface->tx_dropped;
}

void bypass_begin(struct bypass *bypass, const struct interface *interface, uint64_t sent_before)
{
	*bypass = (struct bypass){
		.known = strcmp(interface->kind, "tun") == 0,
		.base = sent_before,
	};
	if (interface_sent(interface) != sent_before)
		bypass->base = interface_sent(interface) + QUEUED_MAX;
}

void bypass_note(struct bypass *bypass, struct interface *interface)
{
	uint64_t sent;

	bypass->noted = bypass->known && interface_refresh(interface) == 0;
	if (!bypass->noted)
		return;
	sent = interface_sent(interface);
	bypass->handed = sent > bypass->base ? sent - bypass->base : 0;
}

uint64_t bypass_count(struct bypass *bypass, uint64_t tx_packets)
{
	uint64_t more;

	bypass->counted += tx_packets;
	if (!bypass->noted || bypass->handed <= bypass->counted + bypass->told)
		return 0;
	bypass->noted = false;
	more = bypass->handed - bypass->counted - bypass->told;
	bypass->told += more;
	return more;
}
