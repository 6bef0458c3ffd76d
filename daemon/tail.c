/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tail streams. Work per wake-up is bounded: a client gets at most SLICE_MAX bytes, and nothing while it has
 * more than that waiting; a timer continues later.
 */

#include "daemon/tail.h"

#include "common/buffer.h"
#include "common/file.h"
#include "common/spool/reader.h"
#include "control/varlink/server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define CONTROL "org.netlogd.control."

#define SLICE_MAX (512 * 1024)
#define PAUSE_MS  20

struct client {
	struct tail *tail;
	struct varlink_call *call;
	struct spool_reader *reader;
	struct event *again;
	uint64_t last; /* sequence of the last message sent */
	LIST_ENTRY(client) entry;
};

struct tail {
	struct event_base *base;
	char *spool_directory;
	int directory_fd; /* -1: not opened yet */
	LIST_HEAD(, client) clients;
	size_t n_clients;
	uint64_t dropped; /* messages removed before they could be shown */
	struct buffer reply;
};

static void client_free(struct client *client)
{
	varlink_call_on_closed(client->call, NULL, NULL);
	LIST_REMOVE(client, entry);
	client->tail->n_clients--;
	event_free(client->again);
	spool_reader_free(client->reader);
	varlink_call_unref(client->call);
	free(client);
}

static int answer(struct client *client, const struct spool_message *message)
{
	struct buffer *reply = &client->tail->reply;

	buffer_reset(reply);
	buffer_append_text(reply, "{\"message\":");
	buffer_append(reply, message->data, message->length);
	buffer_append_char(reply, '}');
	if (buffer_error(reply))
		return -ENOMEM;
	client->last = message->sequence;
	return varlink_call_reply_continues_text(client->call, reply->data, reply->length);
}

static int answer_gap(struct client *client, const struct spool_gap *gap)
{
	json_t *message =
		json_pack("{s{s{}s o}}", "message", "logtail", "text",
			  json_sprintf("netlogd: %llu messages were removed before they could be shown",
				       (unsigned long long)gap->messages));

	client->tail->dropped += gap->messages;
	return varlink_call_reply_continues(client->call, message);
}

static void serve(struct client *client)
{
	struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	size_t sent = 0;

	while (sent < SLICE_MAX && varlink_call_pending(client->call) < SLICE_MAX) {
		struct spool_message message;
		struct spool_gap gap;
		int r = spool_reader_next(client->reader, &message, &gap);

		if (r == SPOOL_READ_END)
			return;
		if (r == SPOOL_READ_MESSAGE) {
			if (message.sequence <= client->last)
				continue;
			sent += message.length;
			r = answer(client, &message);
		} else if (r == SPOOL_READ_GAP) {
			r = answer_gap(client, &gap);
		} else if (r == SPOOL_READ_NEW_SPOOL) {
			client->last = 0;
			r = 0;
		}
		if (r < 0) {
			varlink_call_error(client->call, CONTROL "Failed",
					   json_pack("{ss}", "reason", strerror(-r)));
			client_free(client);
			return;
		}
	}
	evtimer_add(client->again, &pause);
}

static void on_again(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	serve(userdata);
}

static void on_closed(struct varlink_call *call, void *userdata)
{
	(void)call;
	client_free(userdata);
}

int tail_add(struct tail *tail, struct varlink_call *call, uint64_t after_sequence)
{
	struct client *client = calloc(1, sizeof(*client));
	struct stat st;
	int r = -ENOMEM;

	if (!client)
		return -ENOMEM;
	*client = (struct client){.tail = tail, .call = call, .last = after_sequence};
	client->again = evtimer_new(tail->base, on_again, client);
	/* A spool that could not be made at the start may exist by now, or another in place of one that was
	 * removed. */
	if (tail->directory_fd >= 0 && fstat(tail->directory_fd, &st) == 0 && st.st_nlink == 0)
		tail->directory_fd = safe_close(tail->directory_fd);
	if (client->again && tail->directory_fd < 0)
		tail->directory_fd = open_directory(tail->spool_directory);
	if (client->again)
		r = MIN(tail->directory_fd, 0);
	if (r >= 0)
		r = spool_reader_new(tail->directory_fd, &client->reader);
	if (r >= 0)
		r = spool_reader_seek(client->reader, after_sequence + 1);
	if (r < 0) {
		if (client->again)
			event_free(client->again);
		spool_reader_free(client->reader);
		free(client);
		return r;
	}
	varlink_call_ref(call);
	LIST_INSERT_HEAD(&tail->clients, client, entry);
	tail->n_clients++;
	varlink_call_on_closed(call, on_closed, client);
	return 0;
}

void tail_wake(struct tail *tail, uint64_t sequence)
{
	struct client *client;

	/* Each client has its own event, so that many of them do not hold up a window's end. */
	LIST_FOREACH (client, &tail->clients, entry)
		if (client->last < sequence && !evtimer_pending(client->again, NULL))
			event_active(client->again, EV_TIMEOUT, 0);
}

size_t tail_clients(const struct tail *tail)
{
	return tail->n_clients;
}

uint64_t tail_dropped(const struct tail *tail)
{
	return tail->dropped;
}

int tail_new(struct event_base *base, const char *spool_directory, struct tail **ret_tail)
{
	struct tail *tail = calloc(1, sizeof(*tail));

	if (!tail)
		return -ENOMEM;
	tail->base = base;
	LIST_INIT(&tail->clients);
	tail->directory_fd = -1;
	tail->spool_directory = strdup(spool_directory);
	if (!tail->spool_directory) {
		free(tail);
		return -ENOMEM;
	}
	*ret_tail = tail;
	return 0;
}

void tail_free(struct tail *tail)
{
	if (!tail)
		return;
	while (!LIST_EMPTY(&tail->clients)) {
		struct client *client = LIST_FIRST(&tail->clients);

		/* Each reply holds a message: a stream without one more to come ends with an error. */
		varlink_call_error(client->call, CONTROL "Stopping", NULL);
		client_free(client);
	}
	safe_close(tail->directory_fd);
	free(tail->spool_directory);
	buffer_deinit(&tail->reply);
	free(tail);
}
