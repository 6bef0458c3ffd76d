/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tun programs, compiled for user space: the very same source, over stand-ins for the kernel's helpers
 * and for the decoder (user_program/), and with a call for every access to memory (user_steps.c).
 */

#include "daemon/bpf/tun_maps.h"
#include "tests/unit/daemon/device/support/user_maps.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <string.h>

#include <bpf/bpf_helpers.h>

#include "daemon/bpf/decode.bpf.h"

/* A program's read-only data is set before it is loaded, so here it must not be constant. */
#define const
#include "daemon/bpf/tun.bpf.c"
#undef const

const void *const user_tun_maps[N_USER_MAPS] = {
	[USER_ENTRIES] = &entries, [USER_ENTRIES6] = &entries6, [USER_LISTED] = &listed, [USER_FILL] = &fill,
	[USER_TOTALS] = &totals,   [USER_EPOCH] = &epoch,	[USER_NOTES] = &notes,
};

void user_tun_configure(const struct user_settings *settings)
{
	for (int i = 0; i < FLOW_ROOMS; i++) {
		flow_capacity[i] = settings->capacity[i];
		flow_places[i] = settings->places[i];
		pressure_threshold[i] = settings->pressure_threshold[i];
	}
	for (int i = 0; i < FLOW_SEEDS; i++)
		flow_seeds[i] = settings->seeds[i];
	flow_details = settings->details;
}

void user_tun_count(const struct user_packet *packet, bool received)
{
	struct __sk_buff *skb = (struct __sk_buff *)packet;

	if (received)
		count_ingress_raw(skb);
	else
		count_egress_raw(skb);
}
