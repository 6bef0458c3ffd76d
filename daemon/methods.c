/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each method checks its parameters, hands the work to the logger's thread or the uploader, and answers when
 * that is done; a struct pending carries the call there and back.
 */

#include "daemon/methods.h"

#include "common/cleanup.h"
#include "common/config/keys.h"
#include "common/config/load.h"
#include "common/log.h"
#include "common/time_text.h"
#include "common/worker.h"
#include "control/varlink/interfaces.h"
#include "control/varlink/server.h"
#include "daemon/flush.h"
#include "daemon/lists.h"
#include "daemon/metrics.h"
#include "daemon/reload.h"
#include "daemon/routes/json.h"
#include "daemon/schedule.h"
#include "daemon/state.h"
#include "daemon/status.h"
#include "daemon/tail.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#define CONTROL "org.netlogd.control."

#define START_WAIT_MS 3000 /* for the uploader to name the log ID, before Start answers */

/* Calls under way: twice the number of clients, to make room for those of clients that have gone. */
#define PENDING_MAX 128
/* The same of Stop and Flush, which hold nothing but their place: operators who come and go faster than a
 * slow disk syncs must not keep a Stop out. Half of the logger's queue stays for windows, devices and the
 * end. */
#define PENDING_SMALL_MAX 512
_Static_assert(PENDING_SMALL_MAX <= WORKER_QUEUE_MAX / 2, "the daemon's own work must find a place");

struct pending {
	struct daemon *daemon;
	struct varlink_call *call;
	int64_t deadline_ms;
	bool gone;		 /* nobody waits for the answer; read by the logger's thread */
	struct flush *flush;	 /* NULL: not that far, or not at all */
	unsigned int run_change; /* of a Start: daemon->run_changes, including it */
};

struct start_wait {
	struct daemon *daemon;
	struct varlink_call *call;
	struct event *timer;
	LIST_ENTRY(start_wait) entry;
};

static void pending_free(struct pending *pending)
{
	if (!pending)
		return;
	/* The call is answered, so the next Status must show its effect. */
	methods_changed(pending->daemon);
	pending->daemon->n_pending--;
	varlink_call_on_closed(pending->call, NULL, NULL);
	varlink_call_unref(pending->call);
	free(pending);
}

/* Work that has not begun is cancelled, and deliveries are not waited for. */
static void on_client_gone(struct varlink_call *call, void *userdata)
{
	struct pending *pending = userdata;

	__atomic_store_n(&pending->gone, !varlink_call_is_oneway(call), __ATOMIC_RELAXED);
	if (!pending->flush)
		return;
	flush_forget(pending->flush);
	pending_free(pending);
}

/* 0, -ENOMEM, or -EBUSY. */
static int pending_new_of(struct daemon *daemon, struct varlink_call *call, size_t most,
			  struct pending **ret_pending)
{
	struct pending *pending;

	if (daemon->n_pending >= most)
		return -EBUSY;
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){.daemon = daemon, .call = varlink_call_ref(call)};
	daemon->n_pending++;
	varlink_call_on_closed(call, on_client_gone, pending);
	*ret_pending = pending;
	return 0;
}

static int pending_new(struct daemon *daemon, struct varlink_call *call, struct pending **ret_pending)
{
	return pending_new_of(daemon, call, PENDING_MAX, ret_pending);
}

DEFINE_CLEANUP(struct pending *, pending_free);

/* The logger's thread takes nothing new when the daemon stops, and cancels what waits. */
static int answer_stopping(struct varlink_call *call)
{
	return varlink_call_error(call, CONTROL "Stopping", NULL);
}

/* For errors that the interface has no name for. */
static int answer_failure(struct varlink_call *call, int error)
{
	if (error == -ECANCELED)
		return answer_stopping(call);
	return varlink_call_error(call, CONTROL "Failed", json_pack("{ss}", "reason", strerror(-error)));
}

/* ---- Start ----------------------------------------------------------------------------------------- */

static int answer_public_id(struct daemon *daemon, struct varlink_call *call, const char *error)
{
	char id[LOG_ID_TEXT_MAX];
	json_t *parameters;

	daemon_public_id(daemon, id);
	parameters = json_pack("{ss}", "publicId", id);
	return error ? varlink_call_error(call, error, parameters) : varlink_call_reply(call, parameters);
}

static void end_start_wait(struct start_wait *wait)
{
	LIST_REMOVE(wait, entry);
	answer_public_id(wait->daemon, wait->call, NULL);
	varlink_call_unref(wait->call);
	event_free(wait->timer);
	free(wait);
}

static void on_start_wait_timeout(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	end_start_wait(userdata);
}

void methods_identified(struct daemon *daemon)
{
	while (!LIST_EMPTY(&daemon->start_waits))
		end_start_wait(LIST_FIRST(&daemon->start_waits));
}

/* The answer contains the log ID, so it waits for an uploader that has just started. */
static int answer_started(struct daemon *daemon, struct varlink_call *call)
{
	struct timeval timeout = {.tv_sec = START_WAIT_MS / 1000};
	struct start_wait *wait;

	if (daemon->has_log_id || uploader_link_public_id(daemon->uploader))
		return answer_public_id(daemon, call, NULL);
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return -ENOMEM;
	*wait = (struct start_wait){.daemon = daemon};
	wait->timer = evtimer_new(daemon->base, on_start_wait_timeout, wait);
	if (!wait->timer || evtimer_add(wait->timer, &timeout) < 0) {
		if (wait->timer)
			event_free(wait->timer);
		free(wait);
		return -ENOMEM;
	}
	wait->call = varlink_call_ref(call);
	LIST_INSERT_HEAD(&daemon->start_waits, wait, entry);
	return 0;
}

static void on_started(const struct logger_thread_result *result, void *userdata)
{
	_cleanup_(pending_freep) struct pending *pending = userdata;
	struct daemon *daemon = pending->daemon;

	if (result->error == -EALREADY) {
		answer_public_id(daemon, pending->call, CONTROL "AlreadyRunning");
		return;
	}
	/* Unless a later Start or Stop decides. */
	if (result->error < 0 && pending->run_change == daemon->run_changes)
		daemon->running = false;
	if (result->error == -ECANCELED) {
		answer_failure(pending->call, result->error);
		return;
	}
	if (result->error < 0) {
		varlink_call_error(pending->call, CONTROL "DeviceUnavailable",
				   json_pack("{ss ss}", "device", result->layer ? result->layer : "",
					     "reason",
					     result->reason ? result->reason : strerror(-result->error)));
		return;
	}
	daemon_notify_status(daemon);
	if (schedule_set_period(daemon) < 0)
		log_warning("the window timer cannot be set: the first window may be short");
	if (answer_started(daemon, pending->call) < 0)
		answer_failure(pending->call, -ENOMEM);
}

/* A private log ID in hex. Absent or null: *ret_text is NULL. */
static int get_log_id(json_t *parameters, const char *name, const char **ret_text, struct log_id *ret_id)
{
	json_t *value = json_object_get(parameters, name);

	*ret_text = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value) || log_id_parse(json_string_value(value), ret_id) < 0 ||
	    !log_id_is_private(ret_id))
		return -EINVAL;
	*ret_text = json_string_value(value);
	return 0;
}

/* A member that may be absent or null; otherwise its value must be valid in the configuration too. */
static int get_optional_text(json_t *object, const char *name, bool (*is_valid)(const char *text),
			     char **ret_text)
{
	json_t *value = json_object_get(object, name);

	*ret_text = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value) || !is_valid(json_string_value(value)))
		return -EINVAL;
	/* Borrowed from the call's parameters: the logger's thread copies it. */
	*ret_text = (char *)json_string_value(value);
	return 0;
}

/* A Device (source, interface, statsSocket) with defaults from the configuration. 1: given, 0: absent,
 * -EINVAL. */
static int get_device(json_t *parameters, const char *name, const struct device_config *configured,
		      struct device_config *ret_device)
{
	json_t *value = json_object_get(parameters, name);
	const char *source;

	if (!value || json_is_null(value))
		return 0;
	source = json_string_value(json_object_get(value, "source"));
	if (!source || device_source_parse(source, &ret_device->source) < 0 ||
	    get_optional_text(value, "interface", config_is_interface, &ret_device->interface) < 0 ||
	    get_optional_text(value, "statsSocket", config_is_socket_path, &ret_device->stats_socket) < 0)
		return -EINVAL;
	if (!ret_device->interface)
		ret_device->interface = configured->interface;
	if (!ret_device->stats_socket)
		ret_device->stats_socket = configured->stats_socket;
	return 1;
}

/* 1 when the device is impossible and the call has been answered with that. */
static int refuse_device(struct varlink_call *call, const char *name, const struct device_config *device)
{
	_cleanup_free_ char *reason = NULL;
	int r = device_config_check(name, device, &reason);

	if (r != -EINVAL)
		return r;
	(void)varlink_call_error(call, CONTROL "DeviceUnavailable",
				 json_pack("{ss ss}", "device", name, "reason", reason));
	return 1;
}

/* The private log IDs that Start may give. */
struct given_ids {
	const char *node_text, *domain_text; /* borrowed; NULL: not given */
	struct log_id node, domain;
};

static int use_log_ids(struct daemon *daemon, const struct given_ids *ids)
{
	daemon->has_log_id = ids->node_text;
	daemon->has_domain_id = ids->domain_text;
	daemon->public_id = daemon->domain_public_id = (struct log_id){};
	if (ids->node_text)
		log_id_public(&ids->node, &daemon->public_id);
	if (ids->domain_text)
		log_id_public(&ids->domain, &daemon->domain_public_id);
	return uploader_link_set_log_ids(daemon->uploader, ids->node_text, ids->domain_text);
}

static int start(struct daemon *daemon, struct varlink_call *call, const struct device_config *tun,
		 const struct device_config *sock)
{
	struct pending *pending;
	int r = pending_new(daemon, call, &pending);

	if (r < 0)
		return r;
	r = logger_thread_start(daemon->logger, &daemon->public_id, tun, sock, &pending->gone, on_started,
				pending);
	if (r < 0) {
		pending_free(pending);
		return r;
	}
	pending->run_change = ++daemon->run_changes;
	daemon->running = true;
	return 0;
}

/* Starts with valid log IDs; devices that are not given are as configured. */
static int start_for(struct daemon *daemon, struct varlink_call *call, json_t *parameters,
		     const struct given_ids *ids)
{
	struct device_config tun = {}, sock = {};
	int has_tun, has_sock, r = 0;

	has_tun = get_device(parameters, "tun", &daemon->config->tun, &tun);
	if (has_tun < 0)
		return varlink_call_invalid_parameter(call, "tun");
	has_sock = get_device(parameters, "sock", &daemon->config->sock, &sock);
	if (has_sock < 0)
		return varlink_call_invalid_parameter(call, "sock");
	if (daemon->stopping)
		return answer_stopping(call);
	if (daemon->running)
		return answer_public_id(daemon, call, CONTROL "AlreadyRunning");
	/* As in the configuration: `auto` without an interface means none. */
	if (sock.source == SOURCE_AUTO && !sock.interface)
		sock.source = SOURCE_NONE;
	if (has_tun)
		r = refuse_device(call, "tun", &tun);
	if (r == 0 && has_sock)
		r = refuse_device(call, "sock", &sock);
	if (r != 0)
		return MIN(r, 0);
	r = use_log_ids(daemon, ids);
	if (r < 0)
		return r;
	return start(daemon, call, has_tun ? &tun : NULL, has_sock ? &sock : NULL);
}

static int method_start(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct given_ids ids = {};
	int r;

	if (get_log_id(parameters, "nodeLogId", &ids.node_text, &ids.node) < 0)
		r = varlink_call_invalid_parameter(call, "nodeLogId");
	else if (get_log_id(parameters, "domainLogId", &ids.domain_text, &ids.domain) < 0)
		r = varlink_call_invalid_parameter(call, "domainLogId");
	else
		r = start_for(userdata, call, parameters, &ids);
	/* Passed on or not, the secrets must not stay in memory. */
	wipe_text((char *)ids.node_text);
	wipe_text((char *)ids.domain_text);
	explicit_bzero(&ids, sizeof(ids));
	return r;
}

/* ---- Stop and Flush -------------------------------------------------------------------------------- */

/* In milliseconds; absent or null: the default. -EINVAL for anything but a number in range. */
static int get_deadline(json_t *parameters, int64_t *ret_ms)
{
	json_t *value = json_object_get(parameters, "deadlineMs");

	*ret_ms = DEADLINE_DEFAULT_MS;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > DEADLINE_MAX_MS)
		return -EINVAL;
	*ret_ms = json_integer_value(value);
	return 0;
}

static void answer_backlog(const struct backlog *backlog, void *userdata)
{
	_cleanup_(pending_freep) struct pending *pending = userdata;

	varlink_call_reply(pending->call,
			   json_pack("{sI sI}", "pendingMessages", (json_int_t)backlog->messages,
				     "pendingBytes", (json_int_t)backlog->bytes));
}

/* Everything is in the spool, or waits for room in it: deliver it until the deadline. */
static void on_spooled(const struct logger_thread_result *result, void *userdata)
{
	struct pending *pending = userdata;
	struct daemon *daemon = pending->daemon;
	struct backlog backlog;

	(void)result;
	daemon_notify_status(daemon);
	if (varlink_call_is_closed(pending->call)) {
		/* Nobody waits; deliver all the same. */
		uploader_link_hurry(daemon->uploader, pending->deadline_ms);
		pending_free(pending);
		return;
	}
	if (flush_begin(daemon, pending->deadline_ms, answer_backlog, pending, &pending->flush) >= 0)
		return;
	flush_backlog(daemon, &backlog);
	answer_backlog(&backlog, pending);
}

static int method_stop(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;
	struct pending *pending;
	int64_t deadline_ms;
	int r;

	if (get_deadline(parameters, &deadline_ms) < 0)
		return varlink_call_invalid_parameter(call, "deadlineMs");
	r = pending_new_of(daemon, call, PENDING_SMALL_MAX, &pending);
	if (r < 0)
		return r;
	pending->deadline_ms = deadline_ms;
	r = logger_thread_stop(daemon->logger, on_spooled, pending);
	if (r < 0) {
		pending_free(pending);
		return r;
	}
	daemon->run_changes++;
	daemon->running = false;
	return 0;
}

static int method_flush(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;
	struct pending *pending;
	int64_t deadline_ms;
	int r;

	if (get_deadline(parameters, &deadline_ms) < 0)
		return varlink_call_invalid_parameter(call, "deadlineMs");
	if (!daemon->running)
		return varlink_call_error(call, CONTROL "NotRunning", NULL);
	r = pending_new_of(daemon, call, PENDING_SMALL_MAX, &pending);
	if (r < 0)
		return r;
	pending->deadline_ms = deadline_ms;
	r = logger_thread_flush(daemon->logger, &pending->gone, on_spooled, pending);
	if (r < 0)
		pending_free(pending);
	return r;
}

/* ---- Reconfig, Reload, SetNodes -------------------------------------------------------------------- */

static void on_changed(const struct logger_thread_result *result, void *userdata)
{
	_cleanup_(pending_freep) struct pending *pending = userdata;

	if (result->error < 0)
		answer_failure(pending->call, result->error);
	else
		varlink_call_reply(pending->call, NULL);
}

static int method_reconfig(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;
	_cleanup_free_ char *value = NULL;
	struct route_lists lists;
	struct pending *pending;
	int r;

	if (!json_is_object(json_object_get(parameters, "routes")))
		return varlink_call_invalid_parameter(call, "routes");
	if (daemon->stopping)
		return answer_stopping(call);
	r = routes_from_json(json_object_get(parameters, "routes"), &lists, &value);
	if (r == -EINVAL)
		return varlink_call_error(call, CONTROL "InvalidRoute",
					  json_pack("{ss}", "value", value ? value : ""));
	if (r < 0)
		return r;
	r = pending_new(daemon, call, &pending);
	if (r >= 0) {
		r = logger_thread_reconfigure(daemon->logger, &lists, on_changed, pending);
		if (r < 0)
			pending_free(pending);
	}
	route_lists_deinit(&lists);
	return r;
}

/* A list of nodes on its way: it is checked off the loop, since a large one takes long. */
struct node_list {
	struct pending *pending;
	json_t *parameters;
	int result; /* 0 or -errno */
	struct nodes *nodes;
	struct node_refusal refusal;
};

static void node_list_free(struct node_list *list)
{
	if (!list)
		return;
	pending_free(list->pending);
	json_decref(list->parameters);
	nodes_unref(list->nodes);
	free(list->refusal.value);
	free(list);
}

DEFINE_CLEANUP(struct node_list *, node_list_free);

static void read_nodes(void *data)
{
	struct node_list *list = data;

	list->result = nodes_new_json(list->parameters, &list->nodes, &list->refusal);
	json_decref(list->parameters);
	list->parameters = NULL;
}

static void on_nodes_read(void *data)
{
	_cleanup_(node_list_freep) struct node_list *list = data;
	struct varlink_call *call = list->pending->call;
	struct daemon *daemon = list->pending->daemon;
	int r = list->result;

	if (daemon->stopping)
		r = -ECANCELED;
	if (r == -EINVAL) {
		varlink_call_error(
			call, CONTROL "InvalidNode",
			json_pack("{ss ss}", "value", list->refusal.value, "reason", list->refusal.reason));
		return;
	}
	if (r >= 0)
		r = logger_thread_set_nodes(daemon->logger, TAKE_PTR(list->nodes), on_changed, list->pending);
	if (r < 0)
		answer_failure(call, r);
	else
		list->pending = NULL; /* passed on */
}

static int method_set_nodes(struct varlink_call *call, json_t *parameters, void *userdata)
{
	_cleanup_(node_list_freep) struct node_list *list = NULL;
	struct daemon *daemon = userdata;
	int r;

	if (!json_is_array(json_object_get(parameters, "nodes")))
		return varlink_call_invalid_parameter(call, "nodes");
	if (daemon->stopping)
		return answer_stopping(call);
	list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	r = pending_new(daemon, call, &list->pending);
	if (r < 0)
		return r;
	list->parameters = json_incref(parameters);
	r = worker_post(daemon->aside, read_nodes, on_nodes_read, list);
	if (r >= 0)
		TAKE_PTR(list);
	return r;
}

static void on_reloaded(int result, const struct config_error *error, void *userdata)
{
	_cleanup_(pending_freep) struct pending *pending = userdata;

	if (result == -ECANCELED)
		answer_stopping(pending->call);
	else if (result < 0)
		varlink_call_error(pending->call, CONTROL "ConfigurationInvalid",
				   json_pack("{ss si ss}", "file", error->file, "line", (int)error->line,
					     "reason", error->reason));
	else
		varlink_call_reply(pending->call, NULL);
}

static int method_reload(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;
	struct pending *pending;
	int r;

	(void)parameters;
	if (daemon->stopping)
		return answer_stopping(call);
	r = pending_new(daemon, call, &pending);
	if (r < 0)
		return r;
	reload(daemon, on_reloaded, pending);
	return 0;
}

/* ---- Status, lists, Metrics, Tail -------------------------------------------------------------------------
 */

/* The answer's parameters as text; owned by the caller, NULL without memory. */
static char *make_status(struct daemon *daemon)
{
	json_t *status = status_new(daemon);
	json_t *parameters = status ? json_pack("{so}", "status", status) : NULL;
	char *text = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;

	json_decref(parameters);
	return text;
}

static char *make_metrics_text(struct daemon *daemon, bool with_peers)
{
	_cleanup_free_ char *metrics = metrics_new(daemon, with_peers);
	json_t *parameters = metrics ? json_pack("{ss}", "text", metrics) : NULL;
	char *text = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;

	json_decref(parameters);
	return text;
}

/* For those who may not ask for the peers: without their names. */
static char *make_metrics(struct daemon *daemon)
{
	return make_metrics_text(daemon, false);
}

static char *make_all_metrics(struct daemon *daemon)
{
	return make_metrics_text(daemon, true);
}

void methods_changed(struct daemon *daemon)
{
	daemon->status_text.made_at = daemon->metrics_text.made_at = 0;
}

/*
 * Operators get the current state. Others, of whom there may be many, share an answer that is at most a
 * second old and newer than the last change by an operator.
 */
static int reply_made(struct varlink_call *call, struct daemon *daemon, struct made_text *made,
		      char *(*make)(struct daemon *daemon))
{
	int64_t now = time_now_boot();

	if (varlink_call_is_privileged(call)) {
		_cleanup_free_ char *text = make(daemon);

		return text ? varlink_call_reply_text(call, text, strlen(text)) : -ENOMEM;
	}
	if (made->made_at == 0 || now - made->made_at >= NSEC_PER_SEC) {
		char *text = make(daemon);

		if (!text)
			return -ENOMEM;
		free(made->text);
		*made = (struct made_text){.text = text, .length = strlen(text), .made_at = now};
	}
	return varlink_call_reply_text(call, made->text, made->length);
}

static int method_status(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)parameters;
	return reply_made(call, daemon, &daemon->status_text, make_status);
}

static int method_metrics(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)parameters;
	return reply_made(call, daemon, &daemon->metrics_text,
			  varlink_call_is_privileged(call) ? make_all_metrics : make_metrics);
}

static int method_tail(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct daemon *daemon = userdata;
	struct spool_status status;

	(void)parameters;
	spool_writer_get_status(daemon->spool, &status);
	return tail_add(daemon->tail, call, status.last_sequence);
}

static int method_get_routes(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)parameters;
	return lists_answer(userdata, call, LOGGER_LIST_ROUTES);
}

static int method_get_peers(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)parameters;
	return lists_answer(userdata, call, LOGGER_LIST_PEERS);
}

static int method_get_nodes(struct varlink_call *call, json_t *parameters, void *userdata)
{
	(void)parameters;
	return lists_answer(userdata, call, LOGGER_LIST_NODES);
}

static const struct varlink_method methods[] = {
	{"Start", VARLINK_PRIVILEGED, method_start},
	{"Stop", VARLINK_PRIVILEGED, method_stop},
	{"Reconfig", VARLINK_PRIVILEGED, method_reconfig},
	{"Reload", VARLINK_PRIVILEGED, method_reload},
	{"Flush", VARLINK_PRIVILEGED, method_flush},
	{"SetNodes", VARLINK_PRIVILEGED, method_set_nodes},
	{"Status", VARLINK_PUBLIC, method_status},
	{"GetRoutes", VARLINK_PRIVILEGED | VARLINK_NEEDS_MORE, method_get_routes},
	{"GetPeers", VARLINK_PRIVILEGED | VARLINK_NEEDS_MORE, method_get_peers},
	{"GetNodes", VARLINK_PRIVILEGED | VARLINK_NEEDS_MORE, method_get_nodes},
	{"Metrics", VARLINK_PUBLIC, method_metrics},
	{"Tail", VARLINK_PRIVILEGED | VARLINK_NEEDS_MORE, method_tail},
};

static const struct varlink_interface control_interface = {
	.name = "org.netlogd.control",
	.description = interface_control,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

int methods_add(struct daemon *daemon)
{
	return varlink_server_add_interface(daemon->control, &control_interface);
}
