/* SPDX-License-Identifier: BSD-3-Clause */
/* One slot of a cursor, overwritten in place: torn by a power cut it does not pass its checksum. */

#include "daemon/upload/sink/recent.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define RECENT_NAME "recent"

int recent_write(int *fd, int directory_fd, const struct cursor_state *state)
{
	uint8_t slot[CURSOR_SLOT_SIZE];
	ssize_t n;

	if (*fd < 0)
		*fd = openat(directory_fd, RECENT_NAME,
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (*fd < 0)
		return -errno;
	cursor_encode(state, 1, slot);
	n = pwrite(*fd, slot, sizeof(slot), 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(slot) ? 0 : -ENOSPC;
}

int recent_read(int directory_fd, struct cursor_state *state)
{
	struct cursor_state recent;
	int r;

	r = cursor_read(directory_fd, RECENT_NAME, &recent);
	/* Never written, or torn by a power cut: the cursor stands. */
	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	if (r < 0)
		return r;
	/* Of another spool, or older than the cursor. */
	if (!spool_id_equal(&recent.delivered.spool_id, &state->delivered.spool_id) ||
	    recent.delivered.sequence < state->delivered.sequence ||
	    (recent.delivered.sequence == state->delivered.sequence &&
	     recent.batch.last <= state->batch.last))
		return 0;
	*state = recent;
	return 1;
}

int recent_remove(int directory_fd)
{
	return unlinkat(directory_fd, RECENT_NAME, 0) < 0 && errno != ENOENT ? -errno : 0;
}
