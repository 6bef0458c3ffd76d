/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * SYN, FIN and RST packets that wait until they can be put in order: who captures the two directions apart
 * reads them in no order at all.
 */

#include "common/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control_event {
	int64_t time;  /* any clock, as long as it is always the same, ns */
	uint32_t flow; /* index in the flows that they are about */
	uint32_t seq;
	uint8_t flags;
	bool received;
};

/* Zero-initialised is empty. */
struct control_log {
	struct control_event *events; /* in the order in which they came */
	size_t n, allocated;
};

#define CONTROL_LOG_MAX 65536

/*
 * Notes one; when CONTROL_LOG_MAX wait, the older half is put into the details of the flows, for which it is
 * then too late to be in order with still older ones. 0 or -ENOMEM, not noted.
 */
int control_log_add(struct control_log *log, const struct control_event *event, struct flows *flows);
/* Puts all of them into the details of the flows, in order; memory is given back. */
void control_log_apply(struct control_log *log, struct flows *flows);
void control_log_deinit(struct control_log *log);
