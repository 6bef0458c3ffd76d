/* SPDX-License-Identifier: BSD-3-Clause */
/* Access to a sink's state and its host, for the files above. */

#include "daemon/upload/sink/state.h"

#include <stdio.h>
#include <string.h>

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
