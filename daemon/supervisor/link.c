/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uploader's Watch call stays open: its replies carry what the daemon has to say. What the uploader says
 * comes as calls. There is one uploader: a second Watch replaces the first.
 */

#include "daemon/supervisor/link.h"

#include "build-config.h"
#include "common/cleanup.h"
#include "control/varlink/interfaces.h"
#include "control/varlink/server.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/queue.h>

#define FLUSH_GRACE_MS 500

struct flush {
	struct uploader_link *link;
	int64_t id;
	int64_t deadline_ms;
	uploader_flushed done;
	void *userdata;
	struct event *timer;
	LIST_ENTRY(flush) entry;
};

struct uploader_link {
	struct event_base *base;
	const struct uploader_link_ops *ops;
	void *userdata;
	struct varlink_server *server;
	struct varlink_call *watch; /* NULL: no uploader is connected */
	bool identified;
	struct log_id public_id;
	struct log_id domain_public_id; /* zeros: none */
	json_t *sinks;
	bool reported;
	uint64_t woken;
	uint64_t written_messages, written_bytes;
	char *node_id, *domain_id; /* private; kept until an uploader has stored them */
	bool ids_pending;	   /* the last Start's IDs, or that it has none, are yet to be stored */
	char *metrics;		   /* the newest, for the next uploader */
	LIST_HEAD(, flush) flushes;
	size_t n_flushes;
	int64_t last_flush;
};

/* ---- to the uploader ------------------------------------------------------------------------------- */

/* Takes ownership of the event, which is dropped when no uploader is connected. event may be NULL. */
static void push(struct uploader_link *link, json_t *event)
{
	if (!link->watch || !event) {
		json_decref(event);
		return;
	}
	varlink_call_reply_continues(link->watch, event);
}

static void push_log_ids(struct uploader_link *link)
{
	json_t *ids;

	if (!link->watch || !link->ids_pending)
		return;
	ids = json_object();
	if (link->node_id)
		json_object_set_new(ids, "nodeLogId", json_string(link->node_id));
	if (link->domain_id)
		json_object_set_new(ids, "domainLogId", json_string(link->domain_id));
	push(link, json_pack("{so}", "logId", ids));
}

static void forget_log_ids(struct uploader_link *link)
{
	link->ids_pending = false;
	link->node_id = wipe_free(link->node_id);
	link->domain_id = wipe_free(link->domain_id);
}

void uploader_link_set_written(struct uploader_link *link, uint64_t messages, uint64_t bytes)
{
	link->written_messages = messages;
	link->written_bytes = bytes;
}

void uploader_link_wake(struct uploader_link *link, uint64_t sequence)
{
	if (sequence <= link->woken)
		return;
	link->woken = sequence;
	/* The uploader reads to the end of the spool anyway: one wake-up under way is enough. */
	if (link->watch && varlink_call_pending(link->watch) == 0)
		push(link, json_pack("{sI}", "wake", (json_int_t)sequence));
}

void uploader_link_reload(struct uploader_link *link)
{
	push(link, json_pack("{sb}", "reload", 1));
}

void uploader_link_set_metrics(struct uploader_link *link, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	free(link->metrics);
	link->metrics = copy;
	if (link->watch && varlink_call_pending(link->watch) == 0)
		push(link, json_pack("{ss}", "metrics", link->metrics));
}

int uploader_link_set_log_ids(struct uploader_link *link, const char *node, const char *domain)
{
	char *node_copy = node ? strdup(node) : NULL, *domain_copy = domain ? strdup(domain) : NULL;

	if ((node && !node_copy) || (domain && !domain_copy)) {
		wipe_free(node_copy);
		wipe_free(domain_copy);
		return -ENOMEM;
	}
	/* An ID that this Start lacks is the configured one, even if the Start before had one. */
	wipe_free(link->node_id);
	wipe_free(link->domain_id);
	link->node_id = node_copy;
	link->domain_id = domain_copy;
	link->ids_pending = true;
	push_log_ids(link);
	return 0;
}

static void push_flush(struct uploader_link *link, int64_t id, int64_t deadline_ms)
{
	push(link,
	     json_pack("{s{sIsI}}", "flush", "id", (json_int_t)id, "deadlineMs", (json_int_t)deadline_ms));
}

/* The uploader delivers until the first deadline all the same, but keeps no place for a flush that nobody
 * waits for: it has as many as there can be clients, and a deadline may be a day away. */
static void push_forget(struct uploader_link *link, int64_t id)
{
	push_flush(link, id, 0);
}

/* ---- flushes --------------------------------------------------------------------------------------- */

static void remove_flush(struct flush *flush)
{
	LIST_REMOVE(flush, entry);
	flush->link->n_flushes--;
	event_free(flush->timer);
	free(flush);
}

static void end_flush(struct flush *flush, const struct uploader_pending *pending)
{
	uploader_flushed done = flush->done;
	void *userdata = flush->userdata;

	remove_flush(flush);
	done(pending, userdata);
}

static void on_flush_timeout(evutil_socket_t fd, short what, void *userdata)
{
	struct flush *flush = userdata;
	struct uploader_pending pending = {};

	(void)fd;
	(void)what;
	uploader_link_get_pending(flush->link, &pending);
	end_flush(flush, &pending);
}

int uploader_link_flush(struct uploader_link *link, int64_t deadline_ms, uploader_flushed done,
			void *userdata)
{
	/* Wait for an uploader that has reported before: one that died is restarted. */
	int64_t wait_ms = link->watch || json_array_size(link->sinks) > 0 ? deadline_ms + FLUSH_GRACE_MS : 0;
	struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	struct flush *flush;

	if (link->n_flushes >= UPLOADER_FLUSHES_MAX)
		return -EAGAIN;
	flush = calloc(1, sizeof(*flush));
	if (!flush)
		return -ENOMEM;
	*flush = (struct flush){
		.link = link,
		.id = ++link->last_flush,
		.deadline_ms = deadline_ms,
		.done = done,
		.userdata = userdata,
	};
	flush->timer = evtimer_new(link->base, on_flush_timeout, flush);
	if (!flush->timer || evtimer_add(flush->timer, &wait) < 0) {
		if (flush->timer)
			event_free(flush->timer);
		free(flush);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&link->flushes, flush, entry);
	link->n_flushes++;
	push_flush(link, flush->id, deadline_ms);
	return 0;
}

void uploader_link_forget_flush(struct uploader_link *link, const void *userdata)
{
	struct flush *flush;

	LIST_FOREACH (flush, &link->flushes, entry)
		if (flush->userdata == userdata)
			break;
	if (!flush)
		return;
	push_forget(link, flush->id);
	remove_flush(flush);
}

void uploader_link_hurry(struct uploader_link *link, int64_t deadline_ms)
{
	push_flush(link, ++link->last_flush, deadline_ms);
	push_forget(link, link->last_flush);
}

bool uploader_link_get_pending(const struct uploader_link *link, struct uploader_pending *ret_pending)
{
	struct uploader_pending pending = {.known = true};
	json_t *sink;
	size_t i;

	if (!link->reported)
		return false;
	json_array_foreach (link->sinks, i, sink) {
		json_int_t messages = json_integer_value(json_object_get(sink, "backlogMessages"));
		json_int_t bytes = json_integer_value(json_object_get(sink, "backlogBytes"));
		json_t *passed = json_object_get(sink, "deliveredMessages");
		json_int_t delivered = json_integer_value(passed);

		/* What was spooled since the report counts as undelivered. */
		if (passed && (json_int_t)link->written_messages - delivered > messages) {
			messages = (json_int_t)link->written_messages - delivered;
			delivered = json_integer_value(json_object_get(sink, "deliveredBytes"));
			bytes = MAX(bytes, (json_int_t)link->written_bytes - delivered);
		}
		/* An uploader of an earlier version tells only its sequence, and sequences jump. */
		delivered = json_integer_value(json_object_get(sink, "deliveredSequence"));
		if (!passed && delivered >= 0 && link->woken > (uint64_t)delivered)
			messages = MAX(messages, (json_int_t)(link->woken - (uint64_t)delivered));
		if (messages < 0 || (uint64_t)messages < pending.messages)
			continue;
		pending.messages = (uint64_t)messages;
		pending.bytes = bytes > 0 ? (uint64_t)bytes : 0;
	}
	*ret_pending = pending;
	return true;
}

/* ---- from the uploader ----------------------------------------------------------------------------- */

static void on_watch_closed(struct varlink_call *call, void *userdata)
{
	struct uploader_link *link = userdata;

	if (call != link->watch)
		return;
	varlink_call_unref(TAKE_PTR(link->watch));
	link->ops->connected(false, link->userdata);
}

static int method_watch(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct uploader_link *link = userdata;
	struct varlink_call *old = link->watch;
	struct flush *flush;

	(void)parameters;
	link->watch = varlink_call_ref(call);
	varlink_call_on_closed(call, on_watch_closed, link);
	if (old) {
		varlink_call_reply(old, NULL);
		varlink_call_unref(old);
	}
	link->ops->connected(true, link->userdata);
	push_log_ids(link);
	if (link->metrics)
		push(link, json_pack("{ss}", "metrics", link->metrics));
	push(link, json_pack("{sI}", "wake", (json_int_t)link->woken));
	LIST_FOREACH (flush, &link->flushes, entry)
		push_flush(link, flush->id, flush->deadline_ms);
	return 0;
}

static int method_identify(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct uploader_link *link = userdata;
	const char *text = json_string_value(json_object_get(parameters, "publicId"));
	const char *domain_text = json_string_value(json_object_get(parameters, "domainPublicId"));
	struct log_id id, domain = {};

	if (!text || log_id_parse(text, &id) < 0)
		return varlink_call_invalid_parameter(call, "publicId");
	if (domain_text && log_id_parse(domain_text, &domain) < 0)
		return varlink_call_invalid_parameter(call, "domainPublicId");
	link->public_id = id;
	link->domain_public_id = domain;
	link->identified = true;
	if (json_is_true(json_object_get(parameters, "logIdsStored")))
		forget_log_ids(link);
	link->ops->identified(link->userdata);
	return varlink_call_reply(call, NULL);
}

static int method_report(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct uploader_link *link = userdata;
	json_t *sinks = json_object_get(parameters, "sinks");

	if (!json_is_array(sinks))
		return varlink_call_invalid_parameter(call, "sinks");
	json_decref(link->sinks);
	link->sinks = json_incref(sinks);
	link->reported = true;
	link->ops->reported(link->userdata);
	return varlink_call_reply(call, NULL);
}

static int method_flushed(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct uploader_link *link = userdata;
	json_int_t id, messages, bytes;
	struct flush *flush;

	if (json_unpack(parameters, "{sI sI sI}", "id", &id, "pendingMessages", &messages, "pendingBytes",
			&bytes) < 0)
		return varlink_call_invalid_parameter(call, "id");
	LIST_FOREACH (flush, &link->flushes, entry) {
		struct uploader_pending pending = {true, (uint64_t)MAX(messages, 0), (uint64_t)MAX(bytes, 0)};

		if (flush->id != id)
			continue;
		end_flush(flush, &pending);
		break;
	}
	return varlink_call_reply(call, NULL);
}

static const struct varlink_method methods[] = {
	{"Watch", VARLINK_PRIVILEGED | VARLINK_NEEDS_MORE, method_watch},
	{"Identify", VARLINK_PRIVILEGED, method_identify},
	{"Report", VARLINK_PRIVILEGED, method_report},
	{"Flushed", VARLINK_PRIVILEGED, method_flushed},
};

static const struct varlink_interface upload_interface = {
	.name = "org.netlogd.upload",
	.description = interface_upload,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

/* ---- life cycle ------------------------------------------------------------------------------------ */

static bool is_uploader(uid_t uid, void *userdata)
{
	const struct uploader_link *link = userdata;

	return link->ops->is_uploader(uid, link->userdata);
}

DEFINE_CLEANUP(struct uploader_link *, uploader_link_free);

int uploader_link_new(struct event_base *base, const struct uploader_link_ops *ops, void *userdata,
		      struct uploader_link **ret_link)
{
	_cleanup_(uploader_link_freep) struct uploader_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->base = base;
	link->ops = ops;
	link->userdata = userdata;
	/* An uploader may still have those that were given to another daemon's Start. */
	link->ids_pending = true;
	LIST_INIT(&link->flushes);
	link->sinks = json_array();
	if (!link->sinks)
		return -ENOMEM;
	struct varlink_server_options options = {
		.vendor = "netlogd",
		.product = "netlogd",
		.version = NETLOGD_VERSION,
		.url = "",
		.max_clients = 4,
		.is_operator = is_uploader,
		.userdata = link,
	};
	r = varlink_server_new(base, &options, &link->server);
	if (r >= 0)
		r = varlink_server_add_interface(link->server, &upload_interface);
	if (r < 0)
		return r;
	*ret_link = TAKE_PTR(link);
	return 0;
}

void uploader_link_free(struct uploader_link *link)
{
	struct uploader_pending pending = {};

	if (!link)
		return;
	uploader_link_get_pending(link, &pending);
	while (!LIST_EMPTY(&link->flushes))
		end_flush(LIST_FIRST(&link->flushes), &pending);
	if (link->watch) {
		varlink_call_on_closed(link->watch, NULL, NULL);
		varlink_call_reply(link->watch, NULL);
		varlink_call_unref(TAKE_PTR(link->watch));
	}
	varlink_server_free(link->server);
	json_decref(link->sinks);
	link->node_id = wipe_free(link->node_id);
	link->domain_id = wipe_free(link->domain_id);
	free(link->metrics);
	free(link);
}

int uploader_link_listen(struct uploader_link *link, int fd)
{
	return varlink_server_listen(link->server, fd);
}

int uploader_link_add_connection(struct uploader_link *link, int fd)
{
	return varlink_server_add_connection(link->server, fd);
}

bool uploader_link_is_connected(const struct uploader_link *link)
{
	return link->watch;
}

const struct log_id *uploader_link_public_id(const struct uploader_link *link)
{
	return link->identified ? &link->public_id : NULL;
}

const struct log_id *uploader_link_domain_public_id(const struct uploader_link *link)
{
	return log_id_is_zero(&link->domain_public_id) ? NULL : &link->domain_public_id;
}

const json_t *uploader_link_sinks(const struct uploader_link *link)
{
	return link->sinks;
}
