/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copy of the list comes from the logger's thread. Each turn of the loop writes one part of it; while the
 * client has much to read still, a timer continues later.
 */

#include "daemon/lists.h"

#include "common/buffer.h"
#include "control/varlink/server.h"
#include "daemon/state.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define PART_ITEMS    500
#define PART_BYTES    (64 * 1024)
#define UNREAD_MAX    (512 * 1024)
#define PAUSE_MS      20
#define ANSWERING_MAX 8 /* at once; a copy may take some megabytes */

struct answering {
	struct daemon *daemon;
	struct varlink_call *call;
	struct logger_list *list; /* NULL: the logger's thread is making it */
	struct event *again;
	size_t done;
	const char *member; /* of the reply */
	bool gone;	    /* the client, while the list is made */
};

static void answering_free(struct answering *answering)
{
	varlink_call_on_closed(answering->call, NULL, NULL);
	varlink_call_unref(answering->call);
	answering->daemon->n_answering--;
	if (answering->again)
		event_free(answering->again);
	logger_list_free(answering->list);
	free(answering);
}

/* Sends a part. 1 while more follow, 0 after the last one, -errno. */
static int send_part(struct answering *answering)
{
	_cleanup_buffer_ struct buffer text = {};
	size_t n = logger_list_length(answering->list), items = 0;

	buffer_printf(&text, "{\"%s\":[", answering->member);
	for (; answering->done < n && items < PART_ITEMS && text.length < PART_BYTES; items++) {
		if (items > 0)
			buffer_append_char(&text, ',');
		logger_list_write(answering->list, answering->done++, &text);
	}
	buffer_append_text(&text, "]}");
	if (buffer_error(&text))
		return -ENOMEM;
	if (answering->done == n)
		return varlink_call_reply_text(answering->call, text.data, text.length);
	varlink_call_reply_continues_text(answering->call, text.data, text.length);
	return 1;
}

static void on_again(evutil_socket_t fd, short what, void *userdata)
{
	struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
	struct answering *answering = userdata;
	int r = 1;

	(void)fd;
	(void)what;
	if (varlink_call_pending(answering->call) < UNREAD_MAX) {
		pause.tv_usec = 0;
		r = send_part(answering);
	}
	/* A call that is given up unanswered is answered with Failed. */
	if (r <= 0 || evtimer_add(answering->again, &pause) < 0)
		answering_free(answering);
}

static void on_closed(struct varlink_call *call, void *userdata)
{
	struct answering *answering = userdata;

	(void)call;
	answering->gone = true;
	if (answering->list)
		answering_free(answering);
}

static void on_listed(const struct logger_thread_result *result, void *userdata)
{
	const struct timeval now = {};
	struct answering *answering = userdata;

	answering->list = result->list;
	if (answering->gone || result->error < 0 || evtimer_add(answering->again, &now) < 0)
		answering_free(answering);
}

int lists_answer(struct daemon *daemon, struct varlink_call *call, enum logger_list_kind kind)
{
	static const char *const members[] = {
		[LOGGER_LIST_ROUTES] = "routes",
		[LOGGER_LIST_PEERS] = "peers",
		[LOGGER_LIST_NODES] = "nodes",
	};
	struct answering *answering;
	int r = -ENOMEM;

	if (daemon->n_answering >= ANSWERING_MAX)
		return -EBUSY;
	answering = calloc(1, sizeof(*answering));
	if (!answering)
		return -ENOMEM;
	*answering = (struct answering){
		.daemon = daemon,
		.call = varlink_call_ref(call),
		.again = evtimer_new(daemon->base, on_again, answering),
		.member = members[kind],
	};
	daemon->n_answering++;
	if (answering->again)
		r = logger_thread_list(daemon->logger, kind, on_listed, answering);
	if (r < 0) {
		answering_free(answering);
		return r;
	}
	varlink_call_on_closed(call, on_closed, answering);
	return 0;
}
