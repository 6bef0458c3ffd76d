/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libcurl asks for sockets to watch and for a timer; this makes libevent's events of them and hands finished
 * transfers to their owners. Nothing here may block: all sinks of the process run on it.
 */

#include "daemon/upload/http/curl_loop.h"

#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>

#define WATCH_SECONDS 5

struct curl_loop {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct event *watch; /* every WATCH_SECONDS: makes up for callbacks that failed */
	bool failed;
	LIST_HEAD(, curl_transfer) transfers; /* under way */
};

/* Takes a transfer out of the loop and calls its owner, who may start another one at once. */
static void finish(struct curl_loop *loop, struct curl_transfer *transfer, CURLcode result)
{
	curl_loop_remove(loop, transfer);
	transfer->done(transfer->easy, result, transfer->userdata);
}

static void check_finished(struct curl_loop *loop)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left))) {
		struct curl_transfer *transfer = NULL;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		finish(loop, transfer, result);
	}
}

static void on_socket_event(evutil_socket_t fd, short what, void *userdata)
{
	struct curl_loop *loop = userdata;
	int action = 0, running;

	if (what & EV_READ)
		action |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		action |= CURL_CSELECT_OUT;
	curl_multi_socket_action(loop->multi, fd, action, &running);
	check_finished(loop);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct curl_loop *loop = userdata;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	check_finished(loop);
}

static struct curl_transfer *find_overdue(struct curl_loop *loop)
{
	struct curl_transfer *transfer;
	int64_t now = time_now_boot();

	LIST_FOREACH (transfer, &loop->transfers, entry)
		if (transfer->deadline <= now)
			return transfer;
	return NULL;
}

/*
 * An event that could not be added, for lack of memory, never fires: its transfer would hang forever. libcurl
 * ends all transfers once a callback has failed, but only when it is called again; and short of memory it may
 * forget one altogether, including its timeout.
 */
static void on_watch(evutil_socket_t fd, short what, void *userdata)
{
	struct curl_loop *loop = userdata;
	struct curl_transfer *overdue;
	int running;

	(void)fd;
	(void)what;
	if (loop->failed) {
		loop->failed = false;
		curl_multi_perform(loop->multi, &running);
		check_finished(loop);
	}
	while ((overdue = find_overdue(loop)))
		finish(loop, overdue, CURLE_OPERATION_TIMEDOUT);
}

static int on_timer_request(CURLM *multi, long timeout_ms, void *userdata)
{
	struct curl_loop *loop = userdata;
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	(void)multi;
	if (timeout_ms < 0) {
		evtimer_del(loop->timer);
		return 0;
	}
	if (evtimer_add(loop->timer, &timeout) == 0)
		return 0;
	loop->failed = true;
	return -1;
}

static int on_socket_request(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
	struct curl_loop *loop = userdata;
	struct event *event = socket_data;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (event)
			event_free(event);
		curl_multi_assign(loop->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	if (event) {
		event_del(event);
		event_assign(event, loop->base, fd, events, on_socket_event, loop);
	} else {
		event = event_new(loop->base, fd, events, on_socket_event, loop);
		if (event && curl_multi_assign(loop->multi, fd, event) != CURLM_OK) {
			event_free(event);
			event = NULL;
		}
	}
	if (event && event_add(event, NULL) == 0)
		return 0;
	loop->failed = true;
	return -1;
}

int curl_loop_new(struct event_base *base, struct curl_loop **ret_loop)
{
	struct curl_loop *loop = calloc(1, sizeof(*loop));
	const struct timeval interval = {.tv_sec = WATCH_SECONDS};

	if (!loop)
		return -ENOMEM;
	loop->base = base;
	LIST_INIT(&loop->transfers);
	loop->multi = curl_multi_init();
	loop->timer = evtimer_new(base, on_timer, loop);
	/* Added once, so that firing needs no memory. */
	loop->watch = event_new(base, -1, EV_PERSIST, on_watch, loop);
	if (!loop->multi || !loop->timer || !loop->watch || event_add(loop->watch, &interval) < 0) {
		curl_loop_free(loop);
		return -ENOMEM;
	}
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket_request);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer_request);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
	*ret_loop = loop;
	return 0;
}

void curl_loop_free(struct curl_loop *loop)
{
	if (!loop)
		return;
	if (loop->multi)
		curl_multi_cleanup(loop->multi);
	if (loop->timer)
		event_free(loop->timer);
	if (loop->watch)
		event_free(loop->watch);
	free(loop);
}

int curl_loop_add(struct curl_loop *loop, struct curl_transfer *transfer)
{
	CURL *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	/* So that removing the handle does not wait for a resolver's thread. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (curl_multi_add_handle(loop->multi, easy) != CURLM_OK)
		return -ENOMEM;
	transfer->deadline = time_now_boot() + transfer->limit + WATCH_SECONDS * NSEC_PER_SEC;
	LIST_INSERT_HEAD(&loop->transfers, transfer, entry);
	return 0;
}

void curl_loop_remove(struct curl_loop *loop, struct curl_transfer *transfer)
{
	LIST_REMOVE(transfer, entry);
	curl_multi_remove_handle(loop->multi, transfer->easy);
}
