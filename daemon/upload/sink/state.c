/* SPDX-License-Identifier: BSD-3-Clause */
/* Access to a sink's state and its host, for the files above. */

#include "daemon/upload/sink/state.h"

#include "common/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool sink_is_shared(const struct sink *sink)
{
	struct stat st;

	return fstat(sink->options.upload_fd, &st) == 0 && st.st_mode & 0050;
}

int sink_open_directory(const struct sink *sink)
{
	const char *name = sink->context.config->name;
	int upload_fd = sink->options.upload_fd, r;

	/* The set-group-ID bit is inherited; setting it is EPERM under RestrictSUIDSGID=. */
	r = make_directory_at(upload_fd, name, sink_is_shared(sink) ? 0750 : 0700);
	return r < 0 ? r : open_directory_at(upload_fd, name);
}

int64_t sink_now(const struct sink *sink)
{
	return clock_boot(sink->context.clock);
}

bool sink_is_flushing(const struct sink *sink)
{
	return sink->flush_until > sink_now(sink);
}

void sink_wake_at(struct sink *sink, int64_t boot)
{
	sink->options.host->wake_at(sink, boot, sink->options.host_userdata);
}

void sink_changed(struct sink *sink)
{
	sink->options.host->changed(sink, sink->options.host_userdata);
}

void sink_set_error(struct sink *sink, const char *what, int error)
{
	snprintf(sink->last_error, sizeof(sink->last_error), "%s: %s", what, strerror(-error));
	sink_changed(sink);
}
