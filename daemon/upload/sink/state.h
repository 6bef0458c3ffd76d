/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The inside of a sink, for the files that make it up: sink.c (life, status, turns), sink_answer.c (what
 * follows from answers), sink_gather.c (from the spool into a batch), sink_account.c (what the cursor may
 * pass), sink_recent.c, quarantine.c.
 */

#include "common/spool/cursor.h"
#include "daemon/upload/sink/backoff.h"
#include "daemon/upload/sink/loss.h"
#include "daemon/upload/sink/sink.h"

/* Depth of halving: 2^40 messages never fit a batch. */
#define SINK_SPLITS_MAX 40
/* So many refused in a row, none accepted, and it is not the messages' fault. */
#define SINK_REFUSED_MAX 10

/* How often a spool that can't be read, or a quarantine that can't be written, is tried again. */
#define SINK_RETRY (INT64_C(1) * NSEC_PER_SEC)
/* Tries after which a refused message that can't be set aside is lost: the stream does not wait for ever. */
#define SINK_QUARANTINE_TRIES 10

enum sink_phase {
	PHASE_GATHER,	/* reading into a batch; waits for messages or the flush interval */
	PHASE_READY,	/* the batch is complete; waits for the rate limit */
	PHASE_SENDING,	/* an answer is awaited */
	PHASE_WAITING,	/* the same batch again at retry_at */
	PHASE_SETTLING, /* delivered; what was refused before it goes to the quarantine, at retry_at again */
};

/* A message that was refused alone. */
struct refused_message {
	uint64_t sequence;
	uint64_t bytes;
	int64_t time;
	struct spool_position before; /* where reading goes on to meet it again */
	struct cursor_loss carried;   /* what was to be told before it, but for the hole right before it */
	bool settled, kept;	      /* it is in quarantine, or lost for it */
};

/* The stretch of the spool that a batch stands for, in messages since the spool was made. */
struct sink_span {
	uint64_t begin;	  /* messages before it, and before the loss that is told with it */
	uint64_t end;	  /* with its last one */
	uint64_t missing; /* of those between, that it neither holds nor tells */
	uint64_t hole;	  /* messages before the first of them */
};

struct sink {
	struct sink_options options;
	struct sink_context context;
	const struct sink_ops *ops;
	void *impl;
	int directory_fd;
	struct spool_reader *reader;
	struct cursor *cursor;
	struct cursor_state state; /* as it should be on disk */
	bool cursor_dirty;	   /* and isn't */
	bool cursor_failed;	   /* the last write of it */
	int64_t stored_at;	   /* boot time; 0: not yet */
	int recent_fd;		   /* -1: not needed yet */

	enum sink_phase phase;
	struct batch_bounds batch;
	bool full;			   /* nothing more goes into the batch, whatever comes to the spool */
	struct spool_position batch_start; /* before its first message */
	struct spool_position batch_end;   /* after its last, and where reading goes on */
	/*
	 * The reader has to go to batch_end before the next message is read. As long as that fails the sink
	 * stays where it is.
	 */
	bool must_seek;
	struct sink_span span;
	struct cursor_loss loss; /* told before its first message */
	struct buffer loss_text;
	char spool_id[33];

	/*
	 * The batch under way while the next one is made in its place above. It is always full, tells no loss
	 * and has nothing refused before it, so that there is nothing else to be kept.
	 */
	bool ahead;
	bool ahead_ended; /* nothing more is made before the answer */
	bool ahead_ready; /* what was made is complete */
	struct batch_bounds sent;
	struct spool_position sent_start, sent_end;
	struct sink_span sent_span;

	/* A message that was read and did not belong into the last batch; its data is the reader's. */
	bool peeked;
	struct spool_message peek;
	struct spool_gap gap;	    /* found before the next message */
	struct cursor_loss carried; /* told before a message that was set aside: goes before the next one */
	struct cursor_loss owed; /* the part of it that lies before the cursor: reading again won't find it */
	bool at_end;		 /* nothing more was there at the last look */
	bool new_spool;		 /* what comes next is of another spool */

	/*
	 * Last sequences of batches that were refused, innermost last: what is cut from one of them stays
	 * within it. After a restart, the end of the batch that was under way.
	 */
	uint64_t splits[SINK_SPLITS_MAX];
	size_t n_splits;
	uint64_t limit; /* messages in the next batch, at most; 0 none */

	struct refused_message refused[SINK_REFUSED_MAX]; /* set aside, none accepted since */
	size_t n_refused;
	bool probing;		 /* misconfigured by refusals: only the first of them is tried */
	unsigned int n_settling; /* tries of the message that is to be set aside */

	/* Everything up to here was delivered, refused, or told as lost: no cursor passes it. */
	struct spool_position accounted;
	uint64_t hole; /* messages before the last that were about to be passed over, and one; 0: there were
			  none */
	uint64_t violations;

	struct backoff backoff;
	int64_t retry_at;	 /* boot time */
	int64_t send_not_before; /* boot time, for the rate limit */
	int64_t read_not_before; /* boot time, after an error */
	int64_t next_flush;	 /* boot time */
	int64_t flush_until;	 /* boot time; 0: no flush under way */

	enum sink_state health;
	int spool_error; /* of the last look at the spool */
	char last_error[ANSWER_TEXT_MAX];
	uint64_t backlog_messages, backlog_bytes; /* when it could be counted last */
	int64_t oldest;
	uint64_t retries;
	uint64_t sent_messages, sent_bytes;
};

static inline int64_t sink_now(const struct sink *sink)
{
	return clock_boot(sink->context.clock);
}

static inline bool sink_is_flushing(const struct sink *sink)
{
	return sink->flush_until > sink_now(sink);
}

static inline void sink_wake_at(struct sink *sink, int64_t boot)
{
	sink->options.host->wake_at(sink, boot, sink->options.host_userdata);
}

static inline void sink_changed(struct sink *sink)
{
	sink->options.host->changed(sink, sink->options.host_userdata);
}

void sink_set_error(struct sink *sink, const char *what, int error);
/* Makes the state durable. */
void sink_store_cursor(struct sink *sink);
/* Keeps the state for the case that this process is killed, without a sync. 0 or -errno. */
int sink_recent_write(struct sink *sink);
/* Takes over what a killed process kept so, if it is newer than the cursor. 0 or -errno. */
int sink_recent_read(struct sink *sink);
/* Removes what was kept beside a cursor that is no more: it says nothing of the next one. 0 or -errno. */
int sink_recent_forget(int directory_fd);

/* Begins the account: everything up to the position is settled. */
void sink_account_begin(struct sink *sink, const struct spool_position *position);
/* Takes a message into a span, with the messages that are told as lost right before it. */
void sink_span_add(struct sink_span *span, const struct spool_message *message, uint64_t told);
/*
 * Accounts for a span that was delivered, or set aside, up to a position. False when that would pass over
 * messages of which nobody knows what became: then the sink has gone back to its cursor to read them again,
 * and whatever it was doing is over. When they can't be found then either, they are lost, and owed to be
 * told.
 */
bool sink_account(struct sink *sink, const struct sink_span *span, const struct spool_position *end);
/* Before the cursor is written: it stands behind nothing that is not accounted for, and holds what is owed.
 */
void sink_check_cursor(struct sink *sink);
/* Adds a loss to one that is to be told with it. */
void sink_add_loss(struct cursor_loss *loss, const struct cursor_loss *more);
/* A loss of what lies before the cursor, to be told before the next message. */
void sink_owe(struct sink *sink, uint64_t messages, uint64_t bytes, int64_t from, int64_t to,
	      enum cursor_loss_reason reason);

/* Nothing is read for a moment, whatever wakes the sink. */
void sink_pause_reading(struct sink *sink);
/* Reads on after this position, with an empty batch. */
void sink_restart_at(struct sink *sink, const struct spool_position *position);
/*
 * Fills the batch. 1: it is complete; 0: more is to be waited for; -EAGAIN: come back at once; -EBADMSG: the
 * message at hand can't be sent; another -errno: the spool can't be read now.
 */
int sink_gather(struct sink *sink);
/* Moves the time of the next flush behind now. */
void sink_set_next_flush(struct sink *sink);
void sink_batch_reset(struct sink *sink);
/* Makes some more of the next batch while one is under way. */
void sink_prefetch_batch(struct sink *sink);
/* Drops what was made ahead: the batch is the one under way again, and what follows it is to be read. */
void sink_drop_ahead(struct sink *sink);
/* The kind of sink can't send the batch's only message, whatever a server says: it is set aside for good. */
void sink_unsendable(struct sink *sink);
/* Sets aside what was refused before the batch that was delivered, and goes on once that is done. */
void sink_settle(struct sink *sink);
/* An empty batch, to be filled at once. */
void sink_next_batch(struct sink *sink);

/*
 * Puts a message into the sink's quarantine/, durably, the oldest going when it is larger than max bytes.
 * Each is a file of its own, named by its sequence and its spool. 0 or -errno.
 */
int quarantine_add(int directory_fd, const struct spool_message *message, uint64_t max);
