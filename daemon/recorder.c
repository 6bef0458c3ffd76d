/*
 * Jobs for the logger's thread. A request carries what one call needs to the thread and its outcome back;
 * after each job the descriptors that devices want watched are looked at again, since a job may have
 * exchanged the device.
 */

#include "daemon/recorder.h"

#include "common/cleanup.h"
#include "daemon/worker.h"

#include <errno.h>
#include <string.h>

struct recorder {
	struct worker *worker;
	struct logger *logger;
	size_t windows_pending; /* the loop's */
	bool check_pending;	/* the loop's */
	bool ending;		/* atomic: of what waits only the last stop is done */
	int watched[2];		/* the thread's: by layer, -1 none */
};

struct request {
	struct recorder *recorder;
	void (*run)(struct request *request);
	recorder_done done;
	void *userdata;
	bool is_window;
	bool is_last;
	const bool *cancelled; /* atomic; NULL: nobody can */

	/* What it carries there; each owned. */
	struct device_config tun, sock;
	bool has_tun, has_sock;
	struct log_id public_id;
	struct route_lists lists;
	const struct config *config;
	struct nodes *nodes;
	char *text;

	/* And back. */
	int error;
	const char *layer;
	char *reason;
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
	nodes_free(request->nodes);
	free(request->text);
	free(request->reason);
	free(request);
}

DEFINE_CLEANUP(struct request *, request_free);

static void on_pressure(void *data)
{
	struct recorder *recorder = data;

	logger_gather(recorder->logger);
}

static void watch_devices(struct recorder *recorder)
{
	for (int layer = LAYER_TUN; layer <= LAYER_SOCK; layer++) {
		int fd = logger_pressure_fd(recorder->logger, layer);

		if (fd == recorder->watched[layer])
			continue;
		if (recorder->watched[layer] >= 0)
			worker_unwatch(recorder->worker, recorder->watched[layer]);
		recorder->watched[layer] = -1;
		if (fd >= 0 && worker_watch(recorder->worker, fd, on_pressure, recorder) >= 0)
			recorder->watched[layer] = fd;
	}
}

static void run_request(void *data)
{
	struct request *request = data;

	if ((request->cancelled && __atomic_load_n(request->cancelled, __ATOMIC_RELAXED)) ||
	    (!request->is_last && __atomic_load_n(&request->recorder->ending, __ATOMIC_RELAXED))) {
		request->error = -ECANCELED;
		return;
	}
	request->run(request);
	watch_devices(request->recorder);
}

static void finish_request(void *data)
{
	_cleanup_(request_freep) struct request *request = data;
	struct recorder_result result = {request->error, request->layer, request->reason};

	if (request->is_window)
		request->recorder->windows_pending--;
	if (request->done)
		request->done(&result, request->userdata);
}

static struct request *request_new(struct recorder *recorder, void (*run)(struct request *request),
				   recorder_done done, void *userdata)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request)
		*request = (struct request){
			.recorder = recorder, .run = run, .done = done, .userdata = userdata};
	return request;
}

/* Takes the request. */
static int post(struct request *request)
{
	struct recorder *recorder;
	bool is_window;
	int r;

	if (!request)
		return -ENOMEM;
	recorder = request->recorder;
	is_window = request->is_window;
	r = worker_post(recorder->worker, run_request, finish_request, request);
	if (r < 0)
		request_free(request);
	else if (is_window)
		recorder->windows_pending++;
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

/* The ID is set here, after the messages of the run before. */
static void run_start(struct request *request)
{
	if (!logger_is_running(request->recorder->logger))
		request->error = logger_set_public_id(request->recorder->logger, &request->public_id);
	if (request->error < 0)
		return;
	request->error =
		logger_start(request->recorder->logger, request->has_tun ? &request->tun : NULL,
			     request->has_sock ? &request->sock : NULL, &request->layer, &request->reason);
}

int recorder_start(struct recorder *recorder, const struct log_id *public_id, const struct device_config *tun,
		   const struct device_config *sock, const bool *cancelled, recorder_done done,
		   void *userdata)
{
	_cleanup_(request_freep) struct request *request = request_new(recorder, run_start, done, userdata);

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
	request->error = logger_start_anyway(request->recorder->logger);
}

int recorder_start_anyway(struct recorder *recorder, recorder_done done, void *userdata)
{
	return post(request_new(recorder, run_start_anyway, done, userdata));
}

static void run_stop(struct request *request)
{
	logger_stop(request->recorder->logger);
	logger_sync(request->recorder->logger);
}

int recorder_stop(struct recorder *recorder, recorder_done done, void *userdata)
{
	return post(request_new(recorder, run_stop, done, userdata));
}

int recorder_stop_for_good(struct recorder *recorder, recorder_done done, void *userdata)
{
	struct request *request = request_new(recorder, run_stop, done, userdata);

	if (request)
		request->is_last = true;
	__atomic_store_n(&recorder->ending, true, __ATOMIC_RELAXED);
	return post(request);
}

static void run_end_window(struct request *request)
{
	logger_end_window(request->recorder->logger);
}

int recorder_end_window(struct recorder *recorder, recorder_done done, void *userdata)
{
	struct request *request = request_new(recorder, run_end_window, done, userdata);

	if (request)
		request->is_window = true;
	return post(request);
}

static void run_flush(struct request *request)
{
	logger_end_window(request->recorder->logger);
	logger_sync(request->recorder->logger);
}

int recorder_flush(struct recorder *recorder, const bool *cancelled, recorder_done done, void *userdata)
{
	struct request *request = request_new(recorder, run_flush, done, userdata);

	if (request)
		request->cancelled = cancelled;
	return post(request);
}

static void run_reconfigure(struct request *request)
{
	request->error = logger_reconfigure(request->recorder->logger, &request->lists);
}

int recorder_reconfigure(struct recorder *recorder, const struct route_lists *lists, recorder_done done,
			 void *userdata)
{
	_cleanup_(request_freep) struct request *request =
		request_new(recorder, run_reconfigure, done, userdata);

	if (!request || route_lists_copy(lists, &request->lists) < 0)
		return -ENOMEM;
	return post(TAKE_PTR(request));
}

static void run_apply(struct request *request)
{
	request->error = logger_apply(request->recorder->logger, request->config, TAKE_PTR(request->nodes));
}

int recorder_apply(struct recorder *recorder, const struct config *config, struct nodes *nodes,
		   recorder_done done, void *userdata)
{
	struct request *request = request_new(recorder, run_apply, done, userdata);

	if (!request) {
		nodes_free(nodes);
		return -ENOMEM;
	}
	request->config = config;
	request->nodes = nodes;
	return post(request);
}

static void run_set_nodes(struct request *request)
{
	logger_set_nodes(request->recorder->logger, TAKE_PTR(request->nodes));
}

int recorder_set_nodes(struct recorder *recorder, struct nodes *nodes, recorder_done done, void *userdata)
{
	struct request *request = request_new(recorder, run_set_nodes, done, userdata);

	if (!request) {
		nodes_free(nodes);
		return -ENOMEM;
	}
	request->nodes = nodes;
	return post(request);
}

static void run_check_devices(struct request *request)
{
	logger_check_devices(request->recorder->logger);
}

static void on_checked(const struct recorder_result *result, void *userdata)
{
	struct recorder *recorder = userdata;

	(void)result;
	recorder->check_pending = false;
}

int recorder_check_devices(struct recorder *recorder)
{
	int r;

	if (recorder->check_pending)
		return 0;
	r = post(request_new(recorder, run_check_devices, on_checked, recorder));
	recorder->check_pending = r >= 0;
	return r;
}

static void run_tell(struct request *request)
{
	logger_tell(request->recorder->logger, "%s", request->text);
}

int recorder_tell(struct recorder *recorder, const char *text)
{
	_cleanup_(request_freep) struct request *request = request_new(recorder, run_tell, NULL, NULL);

	if (!request || !(request->text = strdup(text)))
		return -ENOMEM;
	return post(TAKE_PTR(request));
}

bool recorder_window_pending(const struct recorder *recorder)
{
	return recorder->windows_pending > 0;
}

json_t *recorder_status(struct recorder *recorder)
{
	return logger_status(recorder->logger);
}

json_t *recorder_nodes(struct recorder *recorder)
{
	return logger_nodes(recorder->logger);
}

DEFINE_CLEANUP(struct recorder *, recorder_free);

int recorder_new(struct event_base *base, const struct logger_options *options,
		 struct recorder **ret_recorder)
{
	_cleanup_(recorder_freep) struct recorder *recorder = calloc(1, sizeof(*recorder));
	int r;

	if (!recorder) {
		nodes_free(options->nodes);
		return -ENOMEM;
	}
	recorder->watched[LAYER_TUN] = recorder->watched[LAYER_SOCK] = -1;
	r = logger_new(options, &recorder->logger);
	if (r >= 0)
		r = worker_new(base, "recorder", &recorder->worker);
	if (r < 0)
		return r;
	*ret_recorder = TAKE_PTR(recorder);
	return 0;
}

void recorder_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	worker_free(recorder->worker);
	logger_free(recorder->logger);
	free(recorder);
}
