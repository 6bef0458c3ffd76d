/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tail streams. The spool is read on a thread, since a stream begins in the middle of a segment, whose first
 * part must be read too, and a disk may be slow. The loop only sends what was read: at most a slice per
 * client and turn, and nothing while the client has more than that waiting; a timer continues later.
 */

#include "daemon/tail.h"

#include "common/buffer.h"
#include "common/file.h"
#include "common/plural.h"
#include "common/spool/reader.h"
#include "common/worker.h"
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
	struct varlink_call *call; /* NULL: gone, to be freed once the thread is done with it */
	struct event *turn;
	bool reading; /* by the thread, which has what follows until it is done */
	bool behind;  /* there may be more to read */
	LIST_ENTRY(client) entry;

	struct spool_reader *reader; /* NULL: not begun yet */
	uint64_t last;		     /* sequence of the last message read */
	struct buffer replies;	     /* parameters of each, and a NUL */
	uint64_t dropped;	     /* messages removed before they could be read */
	int result;		     /* 0: all is read; 1: there is more; -errno */
};

struct tail {
	struct event_base *base;
	struct worker *worker; /* NULL before the first client */
	char *spool_directory;
	int directory_fd; /* the thread's; -1: not opened yet */
	LIST_HEAD(, client) clients;
	size_t n_clients;
	uint64_t dropped; /* messages removed before they could be shown */
};

/* ---- on the thread --------------------------------------------------------------------------------- */

/* A spool that could not be made at the start may exist by now, or another in place of one that was removed.
 */
static int begin_reading(struct client *client)
{
	struct tail *tail = client->tail;
	int r;

	if (tail->directory_fd >= 0 &&
	    file_is_at(tail->directory_fd, AT_FDCWD, tail->spool_directory, 0) == 0)
		tail->directory_fd = safe_close(tail->directory_fd);
	if (tail->directory_fd < 0)
		tail->directory_fd = open_directory(tail->spool_directory);
	if (tail->directory_fd < 0)
		return tail->directory_fd;
	r = spool_reader_new(tail->directory_fd, &client->reader);
	return r < 0 ? r : spool_reader_seek(client->reader, client->last + 1);
}

static void add_message(struct client *client, const struct spool_message *message)
{
	buffer_append_text(&client->replies, "{\"message\":");
	buffer_append(&client->replies, message->data, message->length);
	buffer_append(&client->replies, "}", 2); /* with its NUL */
	client->last = message->sequence;
}

static void add_gap(struct client *client, const struct spool_gap *gap)
{
	buffer_printf(&client->replies,
		      "{\"message\":{\"logtail\":{},\"text\":\"netlogd: %llu %s removed before %s could be "
		      "shown\"}}",
		      (unsigned long long)gap->messages,
		      plural(gap->messages, "message was", "messages were"),
		      plural(gap->messages, "it", "they"));
	buffer_append_char(&client->replies, '\0');
	client->dropped += gap->messages;
}

static int read_slice(struct client *client)
{
	int r = client->reader ? 0 : begin_reading(client);

	while (r >= 0 && client->replies.length < SLICE_MAX) {
		struct spool_message message;
		struct spool_gap gap;

		r = spool_reader_next(client->reader, &message, &gap);
		if (r == SPOOL_READ_END)
			return 0;
		if (r == SPOOL_READ_MESSAGE && message.sequence > client->last)
			add_message(client, &message);
		else if (r == SPOOL_READ_GAP)
			add_gap(client, &gap);
		else if (r == SPOOL_READ_NEW_SPOOL)
			client->last = 0;
		if (buffer_error(&client->replies))
			r = -ENOMEM;
	}
	return r < 0 ? r : 1;
}

static void run(void *data)
{
	struct client *client = data;

	client->result = read_slice(client);
}

/* ---- on the loop ----------------------------------------------------------------------------------- */

static void client_free(struct client *client)
{
	LIST_REMOVE(client, entry);
	event_free(client->turn);
	spool_reader_free(client->reader);
	buffer_deinit(&client->replies);
	free(client);
}

static void leave(struct client *client)
{
	varlink_call_on_closed(client->call, NULL, NULL);
	varlink_call_unref(TAKE_PTR(client->call));
	client->tail->n_clients--;
	if (!client->reading)
		client_free(client);
}

/* Each reply has a message, so a stream that ends does so with an error. */
static void fail(struct client *client, int error)
{
	varlink_call_error(client->call, CONTROL "Failed", json_pack("{ss}", "reason", strerror(-error)));
	leave(client);
}

/* The thread is done: what it has read is sent in the client's own turn, so that many of them do not hold up
 * a window's end. */
static void on_read(void *data)
{
	struct client *client = data;

	client->reading = false;
	if (client->call)
		event_active(client->turn, EV_TIMEOUT, 0);
	else
		client_free(client);
}

static int start_reading(struct client *client)
{
	int r = worker_post(client->tail->worker, run, on_read, client);

	client->reading = r >= 0;
	client->behind = false;
	return r;
}

static int send_replies(struct client *client)
{
	const char *reply = client->replies.data;
	const char *end = reply ? reply + client->replies.length : NULL;
	int r = 0;

	while (reply < end && r >= 0) {
		size_t n = strlen(reply);

		r = varlink_call_reply_continues_text(client->call, reply, n);
		reply += n + 1;
	}
	buffer_deinit(&client->replies);
	client->replies = (struct buffer){};
	return r;
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	struct client *client = userdata;
	int r;

	(void)fd;
	(void)what;
	if (client->reading)
		return;
	client->tail->dropped += client->dropped;
	client->dropped = 0;
	r = send_replies(client);
	if (r >= 0)
		r = client->result;
	client->behind |= r > 0;
	if (r >= 0 && client->behind) {
		if (varlink_call_pending(client->call) >= SLICE_MAX) {
			evtimer_add(client->turn, &pause);
			return;
		}
		r = start_reading(client);
	}
	if (r < 0)
		fail(client, r);
}

static void on_closed(struct varlink_call *call, void *userdata)
{
	(void)call;
	leave(userdata);
}

int tail_add(struct tail *tail, struct varlink_call *call, uint64_t after_sequence)
{
	struct client *client;
	int r = tail->worker ? 0 : worker_new(tail->base, "tail", 0, &tail->worker);

	if (r < 0)
		return r;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	*client = (struct client){.tail = tail, .call = call, .last = after_sequence};
	client->turn = evtimer_new(tail->base, on_turn, client);
	r = client->turn ? start_reading(client) : -ENOMEM;
	if (r < 0) {
		if (client->turn)
			event_free(client->turn);
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

	LIST_FOREACH (client, &tail->clients, entry) {
		if (!client->reading && client->last >= sequence)
			continue;
		client->behind = true;
		if (client->call && !client->reading && !evtimer_pending(client->turn, NULL))
			event_active(client->turn, EV_TIMEOUT, 0);
	}
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
	worker_free(tail->worker);
	while (!LIST_EMPTY(&tail->clients)) {
		struct client *client = LIST_FIRST(&tail->clients);

		varlink_call_error(client->call, CONTROL "Stopping", NULL);
		leave(client);
	}
	safe_close(tail->directory_fd);
	free(tail->spool_directory);
	free(tail);
}
