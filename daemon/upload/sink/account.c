/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A position with fewer messages before it than expected is not a hole: after a power cut the spool may
 * continue from less than what a sink has seen. After a change to another spool the count may start over, and
 * is checked from the next span on.
 */

#include "daemon/upload/sink/account.h"

#include "common/file.h"
#include "common/log.h"
#include "common/plural.h"
#include "daemon/upload/sink/loss.h"
#include "daemon/upload/sink/recent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void sink_owe(struct sink *sink, uint64_t messages, uint64_t bytes, int64_t from, int64_t to,
	      enum cursor_loss_reason reason)
{
	const struct cursor_loss loss = {
		.messages = messages, .bytes = bytes, .from = from, .to = to, .reason = reason};

	loss_add(&sink->owed, &loss);
	loss_add(&sink->carried, &loss);
}

void sink_span_add(struct sink_span *span, const struct spool_message *message, uint64_t lost)
{
	uint64_t before = message->position.messages - 1;

	if (span->end == 0) {
		span->begin = before - MIN(before, lost);
	} else if (before > span->end) {
		if (span->missing == 0)
			span->hole = span->end;
		span->missing += before - span->end;
	}
	span->end = before + 1;
}

bool sink_account(struct sink *sink, const struct sink_span *span, const struct spool_position *end)
{
	uint64_t expected = sink->accounted.messages, missing = span->missing, hole = span->hole;
	const char *name = sink->context.config->name;

	if (span->begin > expected) {
		missing += span->begin - expected;
		hole = expected;
	}
	if (missing == 0 && span->end == end->messages) {
		sink->accounted = *end;
		return true;
	}
	sink->violations++;
	snprintf(sink->last_error, sizeof(sink->last_error),
		 "%" PRIu64 " %s between the sequences %" PRIu64 " and %" PRIu64 " %s about to be skipped",
		 missing, plural(missing, "message", "messages"), sink->accounted.sequence, end->sequence,
		 plural(missing, "was", "were"));
	if (sink->hole != hole + 1) {
		log_error("sink %s: %s: this is a bug in netlogd; reading them again", name,
			  sink->last_error);
		sink->hole = hole + 1;
		return false;
	}
	log_error("sink %s: %s again: reporting them as lost", name, sink->last_error);
	sink_owe(sink, missing, 0, sink->accounted.time, end->time, CURSOR_LOSS_UNREAD);
	sink->accounted = *end;
	return true;
}

/* Holds the cursor back to what is accounted for, and records in it what is owed. */
static void check_cursor(struct sink *sink)
{
	const struct spool_position *delivered = &sink->state.delivered;

	/* A batch under way reports it. */
	if (sink->state.batch.last <= delivered->sequence)
		sink->state.loss = sink->owed;
	/* By sequence: of messages it may have seen more than are left after a power cut. */
	if (!spool_id_equal(&delivered->spool_id, &sink->accounted.spool_id) ||
	    delivered->messages <= sink->accounted.messages ||
	    delivered->sequence <= sink->accounted.sequence)
		return;
	/* The next span does not follow what is accounted for, so the sink will go back. */
	sink->violations++;
	log_error("sink %s: the cursor was about to move to sequence %" PRIu64 " with messages after %" PRIu64
		  " not accounted for: this is a bug in netlogd",
		  sink->context.config->name, delivered->sequence, sink->accounted.sequence);
	sink->state.delivered = sink->accounted;
}

int sink_keep_directory(struct sink *sink)
{
	const char *name = sink->context.config->name;
	int fd, r;

	/* An error is no absence. */
	if (file_is_at(sink->directory_fd, sink->options.upload_fd, name, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	fd = sink_open_directory(sink);
	r = fd < 0 ? fd : cursor_move(sink->cursor, fd);
	if (r < 0) {
		safe_close(fd);
		return r;
	}
	log_warning("sink %s: its directory was removed by another program: it is made again", name);
	safe_close(sink->directory_fd);
	sink->directory_fd = fd;
	sink->recent_fd = safe_close(sink->recent_fd);
	return 0;
}

void sink_store_cursor(struct sink *sink)
{
	int r;

	check_cursor(sink);
	r = sink_keep_directory(sink);
	r = r ?: cursor_write(sink->cursor, &sink->state);
	/* To continue without it costs duplicates after a crash at worst; to stop would cost the log. */
	if (r < 0) {
		if (sink->cursor_error == 0)
			log_warning("sink %s: cannot write the cursor: %s; trying again",
				    sink->context.config->name, strerror(-r));
		sink_set_error(sink, "cursor", r);
	} else if (sink->cursor_error < 0) {
		log_info("sink %s: the cursor can be written again", sink->context.config->name);
		sink->last_error[0] = '\0';
		sink_changed(sink);
	}
	sink->cursor_error = r;
	sink->cursor_dirty = r < 0;
	sink->stored_at = sink_now(sink);
}

bool sink_cursor_is_gone(const struct sink *sink)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/" CURSOR_NAME, sink->context.config->name) < 0) {
		path = NULL;
		return false;
	}
	return faccessat(sink->options.upload_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	       (errno == ENOENT || errno == ENOTDIR);
}

int sink_store_recent(struct sink *sink)
{
	check_cursor(sink);
	return recent_write(&sink->recent_fd, sink->directory_fd, &sink->state);
}
