/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The logger's state, for its own files. All of it belongs to the logger's thread but what the mutex
 * protects. */

#include "common/buffer.h"
#include "daemon/logger/layer.h"
#include "daemon/logger/naming.h"
#include "daemon/logger/window.h"
#include "daemon/record/encode.h"

#include <jansson.h>
#include <pthread.h>

struct discovery;
struct drops_counter;
struct epoch;
struct live;
struct peer_memory;
struct peer_samples;
struct peer_traffic;
struct routes;
struct routing;
struct spool_writer;

struct logger {
	const struct clock *clock;
	struct epoch *epoch;
	struct spool_writer *spool;
	const struct config *config;
	struct naming naming;
	struct routes *routes;
	struct discovery *discovery;	/* of the machine's routes; NULL: not followed */
	struct prefix_list allowed_ips; /* of the peers, as given to the routes */
	uint64_t own_identities;	/* of the sock device, when its own routes were given to them */
	bool found_all;			/* the routes have all that was found until then */
	struct aggregate *aggregate;
	struct live *live;	   /* what details need to know of earlier windows; NULL without details */
	struct peer_memory *peers; /* of the sock device, from one window to the next */
	const struct routing *routing; /* that classified last, to see that it is another one */
	struct encode_sequence sequence;
	struct buffer text; /* of text messages; reused */

	struct layer tun, sock;
	/* Of the tun device's packets; NULL: not counted, and the reason says why (NULL: not wanted so far).
	 */
	struct drops_counter *drops;
	char *drops_reason;
	int drops_error;	    /* of the last attempt to load its program */
	unsigned int drops_ifindex; /* of the interface whose drops are counted; 0: none */
	bool running;
	bool overridden; /* Start named the devices: a reload keeps their sources */
	struct window window;
	int64_t last_message; /* boot time, for the heartbeat */
	bool told_unclean;    /* an unclean shutdown of the previous run is reported once */

	int64_t started; /* wall */
	uint64_t windows, messages, bytes, conservation_failures, clock_steps;
	struct counts ignored;
	struct encode_sums sums; /* of all entries logged */
	struct peer_traffic *peer_traffic;
	uint64_t classified_early; /* early extractions that could not wait for the window's routes */
	int64_t last_end;
	int64_t last_cpu, last_delay; /* ns of the last window's end: CPU time, and time passed */
	size_t last_connections;
	uint64_t last_messages;

	pthread_mutex_t mutex;
	struct peer_samples *peer_samples; /* under the mutex; NULL: none */
	json_t *status;			   /* under the mutex */
};
