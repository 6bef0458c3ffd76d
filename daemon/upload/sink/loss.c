/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the text needs is kept in the cursor with the bounds of the batch that reports it, so that the batch
 * is the same at every try, also after a restart.
 */

#include "daemon/upload/sink/loss.h"

#include "common/plural.h"
#include "common/time_text.h"

#include <inttypes.h>
#include <stdbool.h>

void loss_add(struct cursor_loss *loss, const struct cursor_loss *more)
{
	if (more->messages == 0)
		return;
	if (loss->messages == 0) {
		*loss = *more;
		return;
	}
	loss->to = more->to;
	loss->messages += more->messages;
	loss->bytes += more->bytes;
	/* A new text, if there was one. */
	loss->client_time = 0;
}

void loss_encode(struct buffer *buffer, const struct cursor_loss *loss, const char *sink)
{
	static const char *const reasons[] = {
		[CURSOR_LOSS_SPOOL_FULL] = "spool full",
		[CURSOR_LOSS_DAMAGED] = "damaged on disk",
		[CURSOR_LOSS_REFUSED] = "refused and not kept",
		[CURSOR_LOSS_UNREAD] = "passed over",
		[CURSOR_LOSS_CUT_OUT] = "removed from the middle of the spool",
		[CURSOR_LOSS_GONE] = "removed from the spool, which is not full",
	};
	char now[TIME_TEXT_MAX], from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
	bool has_times = loss->from != 0 || loss->to != 0;

	time_format(loss->client_time, now);
	time_format(loss->from != 0 ? loss->from : loss->to, from);
	time_format(loss->to, to);
	buffer_printf(buffer, "{\"logtail\":{\"client_time\":\"%s\",\"proc_id\":%" PRIu32 "},\"text\":\"",
		      now, loss->proc_id);
	buffer_printf(buffer, "netlogd: lost %" PRIu64 " %s (%" PRIu64 " %s)", loss->messages,
		      plural(loss->messages, "message", "messages"), loss->bytes,
		      plural(loss->bytes, "byte", "bytes"));
	if (has_times)
		buffer_printf(buffer, " from %s to %s", from, to);
	buffer_printf(buffer,
		      ": %s\",\"event\":{\"type\":\"lost\",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64,
		      reasons[loss->reason], loss->messages, loss->bytes);
	if (has_times)
		buffer_printf(buffer, ",\"from\":\"%s\",\"to\":\"%s\"", from, to);
	buffer_printf(buffer, ",\"reason\":\"%s\",\"sink\":", reasons[loss->reason]);
	buffer_append_json_string(buffer, sink);
	buffer_append_text(buffer, "}}");
}

uint32_t loss_proc_id(const char *message, size_t n)
{
	static const char name[] = "\"proc_id\":";
	const char *at = memmem(message, MIN(n, (size_t)256), name, sizeof(name) - 1);
	uint64_t value = 0;

	if (!at)
		return 0;
	for (at += sizeof(name) - 1; at < message + n && *at >= '0' && *at <= '9'; at++)
		if (value <= UINT32_MAX)
			value = value * 10 + (uint64_t)(*at - '0');
	return value <= UINT32_MAX ? (uint32_t)value : 0;
}
