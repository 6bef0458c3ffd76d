/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A sink whose server is a script: hours of outage in a moment, and every time between two tries known.
 */

#include "common/spool/cursor.h"
#include "daemon/upload/sink/sink.h"
#include "support.h"

#include <stdbool.h>
#include <stddef.h>

#define TRIES_MAX 4096

/* What the test sees of the sink. */
extern struct world {
	struct sink *sink;
	struct {
		size_t n;
		uint64_t first, last;
	} batches[2]; /* one under way and one built meanwhile */
	int made, sent;
	bool makes_ahead, has_room;

	struct {
		int64_t at;
		uint64_t first, last, messages;
	} tries[TRIES_MAX];
	size_t n_tries;
	/* NULL: the test answers by itself. */
	struct answer (*server)(const struct batch_bounds *bounds, size_t attempt);
	uint64_t batch_max;
	uint64_t spool_max_size;
} world;

extern struct sink_config sink_config;

/* The fixture of each test. */
void setup_world(void);
void teardown_world(void);

void make_sink(void);
/* Lets time pass until this boot time. */
void run_until(int64_t end);

struct answer say(enum verdict verdict, int64_t retry_after);
/* Servers. */
struct answer outage(const struct batch_bounds *bounds, size_t attempt);
struct answer accept_all(const struct batch_bounds *bounds, size_t attempt);

/* Answers the batch under way, by itself, and lets what follows happen. */
void answer_now(enum verdict verdict);
/* The last try is number i (from 0), with these messages. */
void check_try(size_t i, uint64_t first, uint64_t last);
