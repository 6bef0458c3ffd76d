/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watch is one long reply on the connection; reports to the daemon are oneway calls beside it. Without a
 * daemon an external uploader reconnects until there is one again; the daemon's own uploader ends with it.
 */

#include "daemon/upload/link.h"

#include "common/cleanup.h"
#include "common/json_set.h"
#include "common/log.h"
#include "common/time_text.h"
#include "control/varlink/async.h"
#include "daemon/upload/broker/broker.h"
#include "daemon/upload/sink/sink.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <string.h>

#define INTERFACE "org.netlogd.upload."

/* A refused local connect costs nothing, so it is tried often. */
#define CONNECT_AGAIN_MS 100

struct link {
	struct event_base *base;
	const struct link_ops *ops;
	void *userdata;
	struct broker *broker; /* NULL: this connection is the only one */
	struct varlink_async *async;
	struct event *timer;
};

static void connect_later(struct link *link)
{
	struct timeval delay = {.tv_usec = CONNECT_AGAIN_MS * 1000};

	evtimer_add(link->timer, &delay);
}

static void on_reply(const char *error, json_t *event, bool continues, void *request, void *userdata)
{
	struct link *link = userdata;
	json_int_t id, deadline_ms;
	json_t *value;

	(void)continues;
	(void)request;
	if (error) {
		if (strcmp(error, "org.varlink.service.PermissionDenied") == 0)
			log_error(
				"the daemon refuses this uploader: it has to run as root, as the daemon's user, or "
				"as the owner of the upload directory");
		else
			log_warning("the daemon returned error %s to Watch", error);
		return;
	}
	value = json_object_get(event, "logId");
	if (json_is_object(value)) {
		const char *node = json_string_value(json_object_get(value, "nodeLogId"));
		const char *domain = json_string_value(json_object_get(value, "domainLogId"));

		link->ops->log_ids(node, domain, link->userdata);
		wipe_text((char *)node);
		wipe_text((char *)domain);
	}
	if (json_is_true(json_object_get(event, "reload")))
		link->ops->reload(link->userdata);
	value = json_object_get(event, "metrics");
	if (json_is_string(value))
		link->ops->metrics(json_string_value(value), link->userdata);
	if (json_is_integer(json_object_get(event, "wake")))
		link->ops->wake(link->userdata);
	value = json_object_get(event, "flush");
	if (json_is_object(value) &&
	    json_unpack(value, "{s:I,s:I}", "id", &id, "deadlineMs", &deadline_ms) == 0)
		link->ops->flush(id, MAX(deadline_ms, 0), link->userdata);
}

static void on_closed(int error, void *userdata)
{
	struct link *link = userdata;

	(void)error;
	varlink_async_free(TAKE_PTR(link->async));
	if (link->broker)
		connect_later(link);
	link->ops->closed(link->userdata);
}

static int start(struct link *link, int fd)
{
	static const struct varlink_async_ops ops = {.reply = on_reply, .closed = on_closed};
	int r;

	r = varlink_async_new(link->base, fd, &ops, link, &link->async);
	if (r < 0)
		return r;
	r = varlink_async_send(link->async, INTERFACE "Watch", NULL, true, NULL);
	if (r < 0) {
		varlink_async_free(TAKE_PTR(link->async));
		return r;
	}
	link->ops->connected(link->userdata);
	return 0;
}

static void on_timer(evutil_socket_t unused, short what, void *userdata)
{
	struct link *link = userdata;
	int fd, r;

	(void)unused;
	(void)what;
	if (link->async)
		return;
	fd = broker_connect(link->broker);
	r = fd < 0 ? fd : start(link, fd);
	if (r < 0)
		connect_later(link);
}

int link_new(struct event_base *base, int fd, struct broker *broker, const struct link_ops *ops,
	     void *userdata, struct link **ret_link)
{
	struct link *link = calloc(1, sizeof(*link));
	struct timeval now = {};

	if (!link) {
		safe_close(fd);
		return -ENOMEM;
	}
	link->base = base;
	link->ops = ops;
	link->userdata = userdata;
	link->timer = evtimer_new(base, on_timer, link);
	link->broker = fd < 0 ? broker : NULL;
	*ret_link = link;
	if (!link->timer) {
		safe_close(fd);
		return -ENOMEM;
	}
	if (fd >= 0)
		return start(link, fd);
	evtimer_add(link->timer, &now);
	return 0;
}

void link_free(struct link *link)
{
	if (!link)
		return;
	varlink_async_free(link->async);
	if (link->timer)
		event_free(link->timer);
	free(link);
}

bool link_is_connected(const struct link *link)
{
	return link->async;
}

static void send_oneway(struct link *link, const char *method, json_t *parameters)
{
	if (link->async && parameters)
		/* If it can't be queued now, it will be out of date once there is room. */
		(void)varlink_async_send_oneway(link->async, method, parameters);
	else
		json_decref(parameters);
}

void link_identify(struct link *link, const struct log_id *public_id, const struct log_id *domain_public_id,
		   bool stored)
{
	char node[LOG_ID_TEXT_MAX], domain[LOG_ID_TEXT_MAX];
	bool has_domain = !log_id_is_zero(domain_public_id);

	log_id_format(public_id, node);
	log_id_format(domain_public_id, domain);
	send_oneway(link, INTERFACE "Identify",
		    json_pack("{s:s,s:s*,s:o*}", "publicId", node, "domainPublicId",
			      has_domain ? domain : NULL, "logIdsStored", stored ? json_true() : NULL));
}

void link_report(struct link *link, const struct sink_status *sinks, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct sink_status *sink = &sinks[i];
		json_t *object = json_pack(
			"{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "name", sink->name, "type",
			sink->type, "state", sink_state_name(sink->state), "backlogMessages",
			(json_int_t)sink->backlog_messages, "backlogBytes", (json_int_t)sink->backlog_bytes,
			"deliveredSequence", (json_int_t)sink->delivered_sequence, "retries",
			(json_int_t)sink->retries, "lostMessages", (json_int_t)sink->lost_messages,
			"lostBytes", (json_int_t)sink->lost_bytes, "quarantined",
			(json_int_t)sink->quarantined, "sentMessages", (json_int_t)sink->sent_messages,
			"sentBytes", (json_int_t)sink->sent_bytes, "cursorViolations",
			(json_int_t)sink->cursor_violations);

		if (!object)
			continue;
		if (sink->has_delivered) {
			json_set_number(object, "deliveredMessages", sink->delivered_messages);
			json_set_number(object, "deliveredBytes", sink->delivered_bytes);
		}
		if (sink->fit_bytes > 0)
			json_set_number(object, "fittingBytes", sink->fit_bytes);
		json_set_time(object, "oldest", sink->oldest);
		json_set_time(object, "lastSuccess", sink->last_success);
		if (sink->last_error[0])
			json_object_set_new(object, "lastError", json_string(sink->last_error));
		if (sink->warning[0])
			json_object_set_new(object, "warning", json_string(sink->warning));
		json_array_append_new(array, object);
	}
	send_oneway(link, INTERFACE "Report", json_pack("{s:o}", "sinks", array));
}

void link_flushed(struct link *link, int64_t id, uint64_t messages, uint64_t bytes)
{
	send_oneway(link, INTERFACE "Flushed",
		    json_pack("{s:I,s:I,s:I}", "id", (json_int_t)id, "pendingMessages", (json_int_t)messages,
			      "pendingBytes", (json_int_t)bytes));
}
