/* SPDX-License-Identifier: BSD-3-Clause */
/* The uploader answers for what it found in the spool when it was asked; what came later needs another turn.
 */

#include "daemon/flush.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "daemon/state.h"

#include <errno.h>
#include <event2/event.h>

#define TURN_DELAY_MS 200

struct flush {
	struct daemon *daemon;
	flush_done done;
	void *userdata;
	int64_t deadline; /* boot time */
	uint64_t ticket;  /* of the spool's writer: what is to be delivered */
	bool complete;	  /* all of it was in the spool when this turn began */
	struct event *again;
	LIST_ENTRY(flush) entry;
};

static void flush_free(struct flush *flush)
{
	if (!flush)
		return;
	LIST_REMOVE(flush, entry);
	if (flush->again)
		event_free(flush->again);
	free(flush);
}

DEFINE_CLEANUP(struct flush *, flush_free);

/* What one sink has not got, as the uploader says, and what the uploader can't know of yet. */
static void add_up(const struct daemon *daemon, const struct uploader_pending *reported,
		   struct backlog *ret_backlog)
{
	struct spool_status spool = {};

	/* Without sinks nothing waits for delivery. */
	if (daemon->config->n_sinks > 0)
		spool_writer_get_status(daemon->spool, &spool);
	ret_backlog->messages =
		(reported->known ? reported->messages : spool.messages) + spool.unwritten_messages;
	ret_backlog->bytes = (reported->known ? reported->bytes : spool.bytes) + spool.unwritten_bytes;
}

void flush_backlog(const struct daemon *daemon, struct backlog *ret_backlog)
{
	struct uploader_pending pending = {};

	uploader_link_get_pending(daemon->uploader, &pending);
	add_up(daemon, &pending, ret_backlog);
}

/* Calls back, and ends. */
static void end(struct flush *flush, const struct backlog *backlog)
{
	flush_done done = flush->done;
	void *userdata = flush->userdata;

	flush_free(flush);
	done(backlog, userdata);
}

static void on_flushed(const struct uploader_pending *reported, void *userdata);

static int begin_turn(struct flush *flush)
{
	struct daemon *daemon = flush->daemon;
	int64_t left_ms = (flush->deadline - time_now_boot()) / NSEC_PER_MSEC;

	/* Without sinks there is nothing to wait for: no delivery makes room. */
	flush->complete =
		daemon->config->n_sinks == 0 || spool_writer_is_settled(daemon->spool, flush->ticket);
	return uploader_link_flush(daemon->uploader, MAX(left_ms, INT64_C(0)), on_flushed, flush);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct flush *flush = userdata;
	struct backlog backlog;

	(void)fd;
	(void)what;
	if (begin_turn(flush) >= 0)
		return;
	flush_backlog(flush->daemon, &backlog);
	end(flush, &backlog);
}

/* Whether what is still to come is worth another turn, which follows then. */
static bool turn_again(struct flush *flush, const struct uploader_pending *reported)
{
	const struct timeval delay = {.tv_usec = TURN_DELAY_MS * 1000};

	if (flush->complete || !reported->known || reported->messages > 0 ||
	    flush->deadline - time_now_boot() < TURN_DELAY_MS * NSEC_PER_MSEC)
		return false;
	return evtimer_add(flush->again, &delay) == 0;
}

static void on_flushed(const struct uploader_pending *reported, void *userdata)
{
	struct flush *flush = userdata;
	struct backlog backlog;

	if (turn_again(flush, reported))
		return;
	/* What was written during the turn is in neither the uploader's figure nor in memory. */
	if (flush->complete)
		add_up(flush->daemon, reported, &backlog);
	else
		flush_backlog(flush->daemon, &backlog);
	end(flush, &backlog);
}

int flush_begin(struct daemon *daemon, int64_t deadline_ms, flush_done done, void *userdata,
		struct flush **ret_flush)
{
	_cleanup_(flush_freep) struct flush *flush = calloc(1, sizeof(*flush));
	int r;

	if (!flush)
		return -ENOMEM;
	*flush = (struct flush){
		.daemon = daemon,
		.done = done,
		.userdata = userdata,
		.deadline = time_now_boot() + deadline_ms * NSEC_PER_MSEC,
		.ticket = spool_writer_ticket(daemon->spool),
	};
	LIST_INSERT_HEAD(&daemon->flushes, flush, entry);
	flush->again = evtimer_new(daemon->base, on_turn, flush);
	if (!flush->again)
		return -ENOMEM;
	r = begin_turn(flush);
	if (r < 0)
		return r;
	*ret_flush = TAKE_PTR(flush);
	return 0;
}

void flush_forget(struct flush *flush)
{
	if (!flush)
		return;
	uploader_link_forget_flush(flush->daemon->uploader, flush);
	flush_free(flush);
}

void flush_end_all(struct daemon *daemon)
{
	struct backlog backlog;

	while (!LIST_EMPTY(&daemon->flushes)) {
		struct flush *flush = LIST_FIRST(&daemon->flushes);

		uploader_link_forget_flush(daemon->uploader, flush);
		flush_backlog(daemon, &backlog);
		end(flush, &backlog);
	}
}
