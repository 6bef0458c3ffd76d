/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Between the two halves of the logger: its windows (logger.c), and what others see of it
 * (logger_status.c). */

#include "daemon/logger/logger.h"
#include "daemon/logger/window.h"

#include <pthread.h>

struct epoch;
struct routes;

struct logger {
	const struct clock *clock;
	struct epoch *epoch;
	struct spool_writer *spool;
	const struct config *config;
	struct nodes *nodes;
	struct routes *routes;
	struct aggregate *aggregate;
	struct record_sequence sequence;
	struct buffer text; /* reused for text messages */

	struct layer tun, sock;
	bool running;
	bool overridden; /* Start named the devices, so a reload leaves them */
	struct window window;
	int64_t last_message; /* boot time, for the heartbeat */
	bool told_unclean;    /* a run that ended without a stop is told once */

	int64_t started; /* wall */
	uint64_t windows, messages, bytes, conservation_failures, clock_steps;
	struct counts ignored;
	int64_t last_end;
	int64_t last_cpu, last_delay; /* ns that the last window's end took */
	size_t last_connections;
	uint64_t last_messages;

	pthread_mutex_t mutex;
	json_t *status;	   /* under the mutex */
	json_t *node_list; /* under the mutex */
};

/* Replaces the copy of the logger's part of Status that other threads read, or that of its nodes. */
void logger_publish(struct logger *logger);
void logger_publish_nodes(struct logger *logger);
