/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request carries a call's arguments to the logger's thread and its outcome back. After each request the
 * devices' descriptors are watched again, since it may have replaced a device.
 */

#include "daemon/logger/thread.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "common/worker.h"
#include "daemon/logger/gather.h"
#include "daemon/logger/messages.h"
#include "daemon/logger/status.h"

#include <errno.h>
#include <string.h>

struct logger_thread {
	struct worker *worker;
	struct worker *aside; /* NULL: none */
	struct logger *logger;
	size_t windows_pending;		 /* the loop's */
	bool check_pending;		 /* the loop's */
	bool check_again;		 /* the loop's */
	void (*checked)(void *userdata); /* NULL: nobody asks */
	void *checked_userdata;
	bool ending;		   /* atomic: only the last stop is still run */
	int watched[N_LAYERS + 1]; /* the thread's: by layer, and the routes; -1 none */
};

struct request {
	struct logger_thread *thread;
	void (*run)(struct request *request);
	logger_thread_done done;
	void *userdata;
	bool is_window;
	bool is_last;
	const bool *cancelled; /* atomic; NULL: cannot be cancelled */

	/* Arguments; all but the configuration are owned. */
	struct device_config tun, sock;
	bool has_tun, has_sock;
	struct log_id public_id;
	struct route_lists lists;
	const struct config *config;
	struct nodes *nodes;
	char *text;
	json_t *event;

	/* Outcome. */
	int error;
	const char *layer;
	char *reason;
	enum logger_list_kind kind;
	struct logger_list *list;
};

static void device_config_deinit(struct device_config *config)
{
	free(config->interface);
	free(config->stats_socket);
}

static void request_free(struct request *request)
{
	if (!request)
		return;
	device_config_deinit(&request->tun);
	device_config_deinit(&request->sock);
	route_lists_deinit(&request->lists);
	nodes_unref(request->nodes);
	free(request->text);
	json_decref(request->event);
	free(request->reason);
	free(request);
}

DEFINE_CLEANUP(struct request *, request_free);

/* Between two looks at changes of routes, which may be thousands in a second and are nobody's as a rule: each
 * would wake the thread. */
#define ROUTES_PAUSE (10 * NSEC_PER_MSEC)

static void watch_devices(struct logger_thread *thread);

static void on_pressure(struct logger_thread *thread, enum device_layer layer)
{
	if (!logger_wants_extraction(thread->logger, layer))
		return;
	gather_early(thread->logger);
	logger_publish(thread->logger);
	watch_devices(thread);
}

static void on_tun_pressure(void *data)
{
	on_pressure(data, LAYER_TUN);
}

static void on_sock_pressure(void *data)
{
	on_pressure(data, LAYER_SOCK);
}

static void on_routes(void *data)
{
	struct logger_thread *thread = data;

	gather_listen(thread->logger);
}

static void watch_devices(struct logger_thread *thread)
{
	const struct {
		int fd;
		int64_t pause;
		worker_fn readable;
	} wanted[] = {
		[LAYER_TUN] = {logger_pressure_fd(thread->logger, LAYER_TUN), 0, on_tun_pressure},
		[LAYER_SOCK] = {logger_pressure_fd(thread->logger, LAYER_SOCK), ROUTES_PAUSE,
				on_sock_pressure},
		[N_LAYERS] = {logger_routes_fd(thread->logger), ROUTES_PAUSE, on_routes},
	};

	/* One may have the number now that another had before: first, all old ones go. */
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (wanted[i].fd == thread->watched[i])
			continue;
		if (thread->watched[i] >= 0)
			worker_unwatch(thread->worker, thread->watched[i]);
		thread->watched[i] = -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (wanted[i].fd >= 0 && thread->watched[i] < 0 &&
		    worker_watch(thread->worker, wanted[i].fd, wanted[i].pause, wanted[i].readable, thread) >=
			    0)
			thread->watched[i] = wanted[i].fd;
}

static void run_request(void *data)
{
	struct request *request = data;

	if ((request->cancelled && __atomic_load_n(request->cancelled, __ATOMIC_RELAXED)) ||
	    (!request->is_last && __atomic_load_n(&request->thread->ending, __ATOMIC_RELAXED))) {
		request->error = -ECANCELED;
		return;
	}
	request->run(request);
	watch_devices(request->thread);
}

static void release_nodes(void *data)
{
	nodes_unref(data);
}

static void finish_request(void *data)
{
	_cleanup_(request_freep) struct request *request = data;
	struct logger_thread_result result = {request->error, request->layer, request->reason, request->list};

	if (request->is_window)
		request->thread->windows_pending--;
	/* Neither the loop nor the logger's thread has the time for a hundred thousand of them. */
	if (request->nodes && request->thread->aside &&
	    worker_post(request->thread->aside, release_nodes, NULL, request->nodes) == 0)
		request->nodes = NULL;
	if (request->done)
		request->done(&result, request->userdata);
}

static struct request *request_new(struct logger_thread *thread, void (*run)(struct request *request),
				   logger_thread_done done, void *userdata)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request)
		*request = (struct request){.thread = thread, .run = run, .done = done, .userdata = userdata};
	return request;
}

/* Takes the request. */
static int post(struct request *request)
{
	struct logger_thread *thread;
	bool is_window;
	int r;

	if (!request)
		return -ENOMEM;
	thread = request->thread;
	is_window = request->is_window;
	r = worker_post(thread->worker, run_request, finish_request, request);
	if (r < 0)
		request_free(request);
	else if (is_window)
		thread->windows_pending++;
	return r;
}

static int copy_device(const struct device_config *from, struct device_config *ret_to)
{
	*ret_to = (struct device_config){.source = from->source};
	if (from->interface && !(ret_to->interface = strdup(from->interface)))
		return -ENOMEM;
	if (from->stats_socket && !(ret_to->stats_socket = strdup(from->stats_socket)))
		return -ENOMEM;
	return 0;
}

/* Sets the ID only now, after the messages of the previous run. */
static void run_start(struct request *request)
{
	if (!logger_is_running(request->thread->logger))
		request->error = logger_set_public_id(request->thread->logger, &request->public_id);
	if (request->error < 0)
		return;
	request->error =
		logger_start(request->thread->logger, request->has_tun ? &request->tun : NULL,
			     request->has_sock ? &request->sock : NULL, &request->layer, &request->reason);
}

int logger_thread_start(struct logger_thread *thread, const struct log_id *public_id,
			const struct device_config *tun, const struct device_config *sock,
			const bool *cancelled, logger_thread_done done, void *userdata)
{
	_cleanup_(request_freep) struct request *request = request_new(thread, run_start, done, userdata);

	if (!request)
		return -ENOMEM;
	request->cancelled = cancelled;
	request->public_id = *public_id;
	request->has_tun = tun;
	request->has_sock = sock;
	if ((tun && copy_device(tun, &request->tun) < 0) || (sock && copy_device(sock, &request->sock) < 0))
		return -ENOMEM;
	return post(TAKE_PTR(request));
}

static void run_start_anyway(struct request *request)
{
	request->error = logger_start_anyway(request->thread->logger);
}

int logger_thread_start_anyway(struct logger_thread *thread, logger_thread_done done, void *userdata)
{
	return post(request_new(thread, run_start_anyway, done, userdata));
}

static void run_stop(struct request *request)
{
	logger_stop(request->thread->logger);
	messages_sync(request->thread->logger);
}

int logger_thread_stop(struct logger_thread *thread, logger_thread_done done, void *userdata)
{
	return post(request_new(thread, run_stop, done, userdata));
}

int logger_thread_stop_for_good(struct logger_thread *thread, logger_thread_done done, void *userdata)
{
	struct request *request = request_new(thread, run_stop, done, userdata);

	if (request)
		request->is_last = true;
	__atomic_store_n(&thread->ending, true, __ATOMIC_RELAXED);
	return post(request);
}

static void run_end_window(struct request *request)
{
	logger_end_window(request->thread->logger);
}

int logger_thread_end_window(struct logger_thread *thread, logger_thread_done done, void *userdata)
{
	struct request *request = request_new(thread, run_end_window, done, userdata);

	if (request)
		request->is_window = true;
	return post(request);
}

static void run_flush(struct request *request)
{
	logger_end_window(request->thread->logger);
	messages_sync(request->thread->logger);
}

int logger_thread_flush(struct logger_thread *thread, const bool *cancelled, logger_thread_done done,
			void *userdata)
{
	struct request *request = request_new(thread, run_flush, done, userdata);

	if (request)
		request->cancelled = cancelled;
	return post(request);
}

static void run_reconfigure(struct request *request)
{
	request->error = logger_reconfigure(request->thread->logger, &request->lists);
}

int logger_thread_reconfigure(struct logger_thread *thread, const struct route_lists *lists,
			      logger_thread_done done, void *userdata)
{
	_cleanup_(request_freep) struct request *request =
		request_new(thread, run_reconfigure, done, userdata);

	if (!request || route_lists_copy(lists, &request->lists) < 0)
		return -ENOMEM;
	return post(TAKE_PTR(request));
}

static void run_apply(struct request *request)
{
	request->error = logger_apply(request->thread->logger, request->config, &request->nodes);
}

int logger_thread_apply(struct logger_thread *thread, const struct config *config, struct nodes *nodes,
			logger_thread_done done, void *userdata)
{
	struct request *request = request_new(thread, run_apply, done, userdata);

	if (!request) {
		nodes_unref(nodes);
		return -ENOMEM;
	}
	request->config = config;
	request->nodes = nodes;
	return post(request);
}

static void run_set_nodes(struct request *request)
{
	logger_set_nodes(request->thread->logger, &request->nodes);
}

int logger_thread_set_nodes(struct logger_thread *thread, struct nodes *nodes, logger_thread_done done,
			    void *userdata)
{
	struct request *request = request_new(thread, run_set_nodes, done, userdata);

	if (!request) {
		nodes_unref(nodes);
		return -ENOMEM;
	}
	request->nodes = nodes;
	return post(request);
}

static void run_list(struct request *request)
{
	request->error = logger_list_new(request->thread->logger, request->kind, &request->list);
}

int logger_thread_list(struct logger_thread *thread, enum logger_list_kind kind, logger_thread_done done,
		       void *userdata)
{
	struct request *request = request_new(thread, run_list, done, userdata);

	if (request)
		request->kind = kind;
	return post(request);
}

static void run_check_devices(struct request *request)
{
	logger_check_devices(request->thread->logger);
}

static void on_checked(const struct logger_thread_result *result, void *userdata)
{
	struct logger_thread *thread = userdata;
	bool again = thread->check_again;

	(void)result;
	thread->check_pending = thread->check_again = false;
	if (thread->checked)
		thread->checked(thread->checked_userdata);
	if (again)
		logger_thread_check_devices(thread);
}

void logger_thread_on_checked(struct logger_thread *thread, void (*checked)(void *userdata), void *userdata)
{
	thread->checked = checked;
	thread->checked_userdata = userdata;
}

int logger_thread_check_devices(struct logger_thread *thread)
{
	int r;

	/* The check under way may have looked before this change. */
	thread->check_again = thread->check_pending;
	if (thread->check_pending)
		return 0;
	r = post(request_new(thread, run_check_devices, on_checked, thread));
	thread->check_pending = r >= 0;
	return r;
}

static void run_tell(struct request *request)
{
	messages_tell(request->thread->logger, TAKE_PTR(request->event), "%s", request->text);
}

int logger_thread_tell(struct logger_thread *thread, const char *text, json_t *event, logger_thread_done told,
		       void *userdata)
{
	_cleanup_(request_freep) struct request *request = request_new(thread, run_tell, told, userdata);

	if (request)
		request->event = event;
	else
		json_decref(event);
	if (!request || !(request->text = strdup(text)))
		return -ENOMEM;
	return post(TAKE_PTR(request));
}

bool logger_thread_window_pending(const struct logger_thread *thread)
{
	return thread->windows_pending > 0;
}

json_t *logger_thread_status(struct logger_thread *thread)
{
	return logger_status(thread->logger);
}

struct peer_samples *logger_thread_peer_samples(struct logger_thread *thread)
{
	return logger_peer_samples(thread->logger);
}

DEFINE_CLEANUP(struct logger_thread *, logger_thread_free);

int logger_thread_new(struct event_base *base, const struct logger_options *options,
		      struct logger_thread **ret_thread)
{
	_cleanup_(logger_thread_freep) struct logger_thread *thread = calloc(1, sizeof(*thread));
	int r;

	if (!thread) {
		nodes_unref(options->nodes);
		return -ENOMEM;
	}
	thread->aside = options->aside;
	for (size_t i = 0; i < ARRAY_SIZE(thread->watched); i++)
		thread->watched[i] = -1;
	r = logger_new(options, &thread->logger);
	if (r >= 0)
		r = worker_new(base, "logger", 0, &thread->worker);
	if (r < 0)
		return r;
	*ret_thread = TAKE_PTR(thread);
	return 0;
}

void logger_thread_free(struct logger_thread *thread)
{
	if (!thread)
		return;
	worker_free(thread->worker);
	logger_free(thread->logger);
	free(thread);
}
