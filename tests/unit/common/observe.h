/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What one observer of all of a connection's packets says of it. */

#include "daemon/device/control_details.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packet. */
struct step {
	bool received;
	uint8_t flags;
	uint32_t seq;
};

static inline struct details observe(const struct step *steps, size_t n)
{
	struct flow_control control = {};
	struct details details = {};

	for (size_t i = 0; i < n; i++) {
		control_step(&control, steps[i].received, steps[i].flags, steps[i].seq);
		*(steps[i].received ? &details.rx_flags : &details.tx_flags) |= steps[i].flags;
	}
	control_details(&control, &details);
	return details;
}
