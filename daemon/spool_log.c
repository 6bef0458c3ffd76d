/* SPDX-License-Identifier: BSD-3-Clause */
/* A lasting state is one line when it begins and one when it ends; what goes on is summed up now and then. */

#include "daemon/spool_log.h"

#include "common/json_set.h"
#include "common/log.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "daemon/logger/events.h"
#include "daemon/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNDELIVERED_INTERVAL (600 * NSEC_PER_SEC)

const char *spool_error_text(int error)
{
	/* Its sequences may be others than those that messages in memory have: only a start goes through it.
	 */
	if (error == -EEXIST)
		return "another spool has taken its place; restart netlogd to continue in that one";
	return strerror(-error);
}

static void on_told(const struct logger_thread_result *result, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)result;
	daemon->spool_log.loss_told = true;
	daemon->spool_log.loss_ticket = spool_writer_ticket(daemon->spool);
}

void spool_log_lost(struct daemon *daemon, const struct spool_loss *loss)
{
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX], text[256];
	json_t *event;

	time_format(loss->from, from);
	time_format(loss->to, to);
	snprintf(text, sizeof(text),
		 "lost %" PRIu64 " %s (%" PRIu64 " %s) from %s to %s: the spool could not be written",
		 loss->messages, plural(loss->messages, "message", "messages"), loss->bytes,
		 plural(loss->bytes, "byte", "bytes"), from, to);
	log_warning("%s", text);
	event = event_of_type(EVENT_LOST);
	json_set_number(event, "messages", loss->messages);
	json_set_number(event, "bytes", loss->bytes);
	json_set_text(event, "from", from);
	json_set_text(event, "to", to);
	json_set_text(event, "reason", "the spool could not be written");
	if (logger_thread_tell(daemon->logger, text, event, on_told, daemon) < 0)
		log_warning("out of memory: cannot log this loss");
}

void spool_log_stored(struct daemon *daemon)
{
	struct spool_log *log = &daemon->spool_log;

	if (!log->loss_told || !spool_writer_is_settled(daemon->spool, log->loss_ticket))
		return;
	spool_loss_note_remove(daemon->config->state_directory);
	log->loss_told = false;
}

static void tell_error(struct daemon *daemon, const struct spool_status *spool)
{
	const char *directory = daemon->config->spool_directory;
	struct spool_log *log = &daemon->spool_log;

	if (spool->told_error == log->error)
		return;
	if (spool->told_error == 0)
		log_info("%s: the spool can be written again", directory);
	else
		log_warning(
			"%s: the spool cannot be written: %s; messages wait in memory (16 MiB), then the oldest are lost",
			directory, spool_error_text(spool->told_error));
	log->error = spool->told_error;
}

/* The sinks that lack what the spool began with, "sink a, b"; "every sink" when their reports do not tell. */
static void name_sinks(const struct daemon *daemon, uint64_t first_sequence, char *ret_text, size_t max)
{
	const json_t *reports = uploader_link_sinks(daemon->uploader);
	const json_t *report;
	size_t i, n = 0;

	snprintf(ret_text, max, "every sink");
	json_array_foreach ((json_t *)reports, i, report) {
		const char *name = json_string_value(json_object_get(report, "name"));
		json_int_t sequence = json_integer_value(json_object_get(report, "deliveredSequence"));

		if (name && (uint64_t)sequence + 1 < first_sequence && n < max)
			n += (size_t)snprintf(ret_text + n, max - n, "%s%s", n ? ", " : "sink ", name);
	}
}

static void tell_cap(struct daemon *daemon, const struct spool_status *spool)
{
	const char *directory = daemon->config->spool_directory;
	struct spool_log *log = &daemon->spool_log;
	uint64_t max_kib = daemon->config->spool_max_size / 1024;
	char oldest[TIME_TEXT_MAX] = "now", sinks[256];
	int64_t now = time_now_boot();

	if (spool->oldest > 0)
		time_format(spool->oldest, oldest);
	if (spool->undelivered_messages > log->undelivered &&
	    (log->undelivered_at == 0 || now - log->undelivered_at >= UNDELIVERED_INTERVAL)) {
		name_sinks(daemon, spool->first_sequence, sinks, sizeof(sinks));
		log_warning("%s: the spool is full (max-size %" PRIu64 "K): %" PRIu64 " %s (%" PRIu64
			    " %s) %s removed before %s had %s; what is left begins at %s",
			    directory, max_kib, spool->undelivered_messages,
			    plural(spool->undelivered_messages, "message", "messages"),
			    spool->undelivered_bytes, plural(spool->undelivered_bytes, "byte", "bytes"),
			    plural(spool->undelivered_messages, "was", "were"), sinks,
			    plural(spool->undelivered_messages, "it", "them"), oldest);
		log->undelivered = spool->undelivered_messages;
		log->undelivered_at = now;
		log->told_cap = true;
	} else if (!log->told_cap && spool->removed_messages > spool->vanished_messages) {
		log_info("%s: the spool is full (max-size %" PRIu64
			 "K): the oldest messages go; what is left begins at %s",
			 directory, max_kib, oldest);
		log->told_cap = true;
	}
}

static void tell_vanished(struct daemon *daemon, const struct spool_status *spool)
{
	struct spool_log *log = &daemon->spool_log;
	uint64_t undelivered = spool->vanished_undelivered - log->vanished_undelivered;
	uint64_t messages = spool->vanished_messages - log->vanished_messages;
	char text[256], rest[64] = "";
	json_t *event;

	if (spool->vanished_segments <= log->vanished_segments)
		return;
	if (daemon->config->n_sinks > 0 && undelivered == 0)
		snprintf(rest, sizeof(rest), "; every sink had them");
	else if (daemon->config->n_sinks > 0)
		snprintf(rest, sizeof(rest), ", %" PRIu64 " of them before every sink had them", undelivered);
	snprintf(text, sizeof(text),
		 "files of the spool were removed by another program: %" PRIu64 " %s gone%s", messages,
		 plural(messages, "message is", "messages are"), rest);
	log_error("%s: %s", daemon->config->spool_directory, text);
	log->vanished_undelivered = spool->vanished_undelivered;
	log->vanished_segments = spool->vanished_segments;
	log->vanished_messages = spool->vanished_messages;
	event = event_of_type(EVENT_SPOOL_REMOVED);
	json_set_number(event, "messages", messages);
	json_set_number(event, "undelivered", daemon->config->n_sinks > 0 ? undelivered : 0);
	if (logger_thread_tell(daemon->logger, text, event, NULL, NULL) < 0)
		log_warning("out of memory: cannot log this loss");
}

void spool_log_changed(struct daemon *daemon)
{
	struct spool_status spool;

	spool_writer_get_status(daemon->spool, &spool);
	tell_error(daemon, &spool);
	tell_cap(daemon, &spool);
	tell_vanished(daemon, &spool);
}
