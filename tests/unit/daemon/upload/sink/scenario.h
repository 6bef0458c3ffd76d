/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A sink in a few minutes of traffic with everything in it: refusals, halves, a loss, batches built ahead,
 * outages, a restart in between. Whatever fails, and when: in the end every message is accepted or in
 * quarantine, except the one that is damaged on disk, which is reported as lost; what is accepted for the
 * first time comes in order; and the cursor was never about to skip anything.
 */

#include "daemon/upload/sink/sink.h"
#include "fault.h"
#include "support.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGES   48
#define DAMAGED	   16
#define UNSENDABLE 30 /* by this kind of sink */

extern struct scenario {
	struct sink *sink;
	struct {
		size_t n;
		uint64_t sequences[16];
		uint64_t lost; /* reported before its first message */
	} batches[2];
	int made, sent;
	bool answers_pending;
	size_t tries;

	bool accepted[MESSAGES + 1];
	uint64_t highest, lost;
	bool leaves_out;
} scenario;

/* 26 messages, one of them damaged; no sink, no fault. */
void setup_scenario(void);
void teardown_scenario(void);
int make_sink(void);
void end_sink(void);
/* Answers what was sent, and lets what is due happen, for as long as there is something. */
void run_for(int64_t duration);
/* No message can be set aside. */
void forbid_quarantine(void);
bool is_quarantined(uint64_t sequence);
/* Whether the server refuses it. */
bool is_refused(uint64_t sequence);
