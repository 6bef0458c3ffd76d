/* SPDX-License-Identifier: BSD-3-Clause */
/* The spool never stops a window: a message that it cannot take is counted there as lost, and logged here. */

#include "daemon/logger/messages.h"

#include "common/log.h"
#include "daemon/logger/state.h"
#include "daemon/spool/writer.h"

#include <stdarg.h>
#include <string.h>

#define SYNC_WAIT_MS 2000

void messages_store(struct logger *logger, const struct buffer *message, int64_t time)
{
	int r = spool_writer_append(logger->spool, message->data, message->length, time);

	if (r < 0)
		log_warning("cannot store a message in the spool: %s; it is lost", strerror(-r));
	logger->messages++;
	logger->bytes += message->length;
	logger->last_message = clock_boot(logger->clock);
}

void messages_tell(struct logger *logger, json_t *event, const char *format, ...)
{
	int64_t now = clock_wall(logger->clock);
	char text[ENCODE_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	buffer_reset(&logger->text);
	if (encode_text(&logger->text, &logger->sequence, now, text, event) >= 0)
		messages_store(logger, &logger->text, now);
	json_decref(event);
}

void messages_sync(struct logger *logger)
{
	int r = spool_writer_sync(logger->spool, SYNC_WAIT_MS);

	if (r < 0)
		log_warning("the last messages are not on disk yet: %s", strerror(-r));
}
