/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A sink's state, below all the files that work on it. The way of a batch is batch.c (from the spool into a
 * batch), verdict.c (what follows from the answer), settle.c (what was refused before it), account.c (the
 * cursor); sink.c takes it from one to the next.
 */

#include "common/buffer.h"
#include "common/spool/cursor.h"
#include "common/time_text.h"
#include "daemon/upload/sink/backoff.h"
#include "daemon/upload/sink/host.h"

/* Depth of halving: 2^40 messages never fit a batch. */
#define SINK_SPLITS_MAX 40
/* After so many refused in a row, none accepted, the messages are not to blame. */
#define SINK_REFUSED_MAX 10
/* After so many answers that a batch may be too large, it is halved. */
#define SINK_TOO_LARGE_MAX 3
/* How long batches stay as small as the one that went through. */
#define SINK_FIT_KEPT (INT64_C(600) * NSEC_PER_SEC)
/* Time between tries to read a spool that cannot be read, or to write a quarantine that cannot be written. */
#define SINK_RETRY (INT64_C(1) * NSEC_PER_SEC)

enum sink_phase {
	PHASE_GATHER,	/* reading into a batch; waits for messages or the flush interval */
	PHASE_READY,	/* the batch is complete; waits for the rate limit */
	PHASE_SENDING,	/* waits for the answer */
	PHASE_WAITING,	/* sends the same batch again at retry_at */
	PHASE_SETTLING, /* delivered; what was refused before it goes into quarantine, at retry_at again */
};

/* A message that was refused alone. */
struct refused_message {
	uint64_t sequence;
	uint64_t bytes;
	int64_t time;
	struct spool_position before; /* where reading continues to meet it again */
	struct cursor_loss carried;   /* to be reported before it, except the gap right before it */
	bool settled, kept;	      /* done with; it is in quarantine (otherwise lost) */
};

/* The stretch of the spool that a batch covers, in messages since the spool was made. */
struct sink_span {
	uint64_t begin;	  /* messages before it, and before the loss that is reported with it */
	uint64_t end;	  /* including its last one */
	uint64_t missing; /* of those between, that it neither holds nor reports */
	uint64_t hole;	  /* messages before the first of them */
};

struct sink_batch {
	struct batch_bounds bounds;
	struct spool_position start; /* before its first message */
	struct spool_position end;   /* after its last, where reading continues */
	struct sink_span span;
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
	int cursor_error;	   /* of the last write of it */
	int64_t stored_at;	   /* boot time; 0: not yet */
	int recent_fd;		   /* -1: not needed yet */

	enum sink_phase phase;
	bool held; /* begins no batch */
	struct sink_batch batch;
	bool full; /* nothing more goes into the batch, whatever arrives in the spool */
	/* The reader must go to the batch's end before it reads on. Until that works the sink stays where it
	 * is. */
	bool must_seek;
	struct cursor_loss loss; /* reported before the batch's first message */
	struct buffer loss_text;
	char spool_id[33];

	/*
	 * The batch under way while the next one is built in its place above. It is always full, reports no
	 * loss and follows nothing that was refused, so that nothing else needs to be kept.
	 */
	bool ahead;
	bool ahead_ended; /* nothing more is built before the answer */
	bool ahead_ready; /* what was built is complete */
	struct sink_batch sent;

	/* A message that was read and did not belong in the last batch; its data is the reader's. */
	bool peeked;
	struct spool_message peek;
	struct spool_gap gap;	    /* found before the next message */
	struct cursor_loss carried; /* reported before a message that was set aside: goes before the next */
	struct cursor_loss owed;    /* the part of it before the cursor: reading again won't find it */
	bool at_end;		    /* the last read found nothing more */
	bool new_spool;		    /* the next message is of another spool */

	/*
	 * Last sequences of batches that were refused, innermost last: what is cut from one of them stays
	 * within it. After a restart, the end of the batch that was under way.
	 */
	uint64_t splits[SINK_SPLITS_MAX];
	size_t n_splits;
	uint64_t limit; /* messages in the next batch, at most; 0 none */

	/*
	 * The size of batches that a server can take, found by halving: a matter of its memory, or of the
	 * patience of a gateway before it. Kept for a while; then it grows again, up to what was too large.
	 */
	struct {
		uint64_t bytes;	    /* of the messages in a batch, at most; 0: no limit */
		uint64_t messages;  /* in the parts of the batch that was halved, at most */
		uint64_t too_large; /* the largest that failed */
		int64_t kept_until; /* boot time */
	} fit;
	struct cursor_batch large; /* the last batch that may be too large */
	unsigned int n_large;	   /* times that an answer said so */

	struct refused_message refused[SINK_REFUSED_MAX]; /* set aside, none accepted since */
	size_t n_refused;
	bool probing;		 /* misconfigured by refusals: only the first of them is tried */
	unsigned int n_settling; /* tries to set aside the message at hand */

	/* Everything up to here was delivered, refused, or reported as lost: no cursor passes it. */
	struct spool_position accounted;
	uint64_t hole; /* messages before the last hole that was found, plus one; 0: none yet */
	uint64_t violations;

	struct backoff backoff;
	int64_t retry_at;	 /* boot time */
	int64_t send_not_before; /* boot time, for the rate limit */
	int64_t read_not_before; /* boot time, after an error */
	int64_t next_flush;	 /* boot time */
	int64_t flush_until;	 /* boot time; 0: no flush under way */

	enum sink_state health;
	int spool_error; /* of the last read of the spool */
	char last_error[ANSWER_TEXT_MAX];
	char told[ANSWER_TEXT_MAX]; /* the misconfiguration that was logged last */
	int64_t told_at;	    /* boot time */
	char warning[ANSWER_TEXT_MAX];
	uint64_t backlog_messages, backlog_bytes; /* when it could last be counted */
	int64_t oldest;
	uint64_t retries;
	uint64_t sent_messages, sent_bytes;
};

/* Whether the daemon's group may read what is in the upload directory (as a service). */
bool sink_is_shared(const struct sink *sink);
/* Opens the sink's directory in the upload directory, and makes it if it is missing: a descriptor that the
 * caller owns, or -errno. */
int sink_open_directory(const struct sink *sink);
int64_t sink_now(const struct sink *sink);
bool sink_is_flushing(const struct sink *sink);
void sink_wake_at(struct sink *sink, int64_t boot);
void sink_changed(struct sink *sink);
/* Sets the error for the status: "what: description of error". */
void sink_set_error(struct sink *sink, const char *what, int error);
