/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a sink's cursor does not know yet. While a backlog goes out the cursor is synced now and then only,
 * and what was accepted since stands in <sink>/recent, written without a sync: it outlives the process, so
 * that one that is killed repeats the batch under way and no other. After a power cut it may be gone, torn or
 * old, and is then not used: the cursor stands, and the batches since are sent once more.
 *
 * The collector never reads it: what it takes for delivered, and removes, has to be durable.
 */

#include "daemon/upload/sink/state.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define RECENT_NAME "recent"

int sink_recent_write(struct sink *sink)
{
	uint8_t slot[CURSOR_SLOT_SIZE];
	ssize_t n;

	if (sink->recent_fd < 0)
		sink->recent_fd = openat(sink->directory_fd, RECENT_NAME,
					 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (sink->recent_fd < 0)
		return -errno;
	sink_check_cursor(sink);
	cursor_encode(&sink->state, 1, slot);
	n = pwrite(sink->recent_fd, slot, sizeof(slot), 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(slot) ? 0 : -ENOSPC;
}

int sink_recent_read(struct sink *sink)
{
	const struct spool_position *delivered = &sink->state.delivered;
	struct cursor_state recent;
	int r;

	r = cursor_read(sink->directory_fd, RECENT_NAME, &recent);
	/* Never written, or torn by a power cut: the cursor stands. */
	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	if (r < 0)
		return r;
	/* Of another spool, or older than the cursor. */
	if (!spool_id_equal(&recent.delivered.spool_id, &delivered->spool_id) ||
	    recent.delivered.sequence < delivered->sequence ||
	    (recent.delivered.sequence == delivered->sequence && recent.batch.last <= sink->state.batch.last))
		return 0;
	sink->state = recent;
	sink->cursor_dirty = true;
	return 0;
}

int sink_recent_forget(int directory_fd)
{
	return unlinkat(directory_fd, RECENT_NAME, 0) < 0 && errno != ENOENT ? -errno : 0;
}
