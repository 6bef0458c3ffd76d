/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's assembly: the order in which parts are made and freed, readiness, signals, and the clean
 * shutdown. Everything slow is elsewhere: windows on the logger's thread, the disk on the spool's, the
 * network in another process.
 */

#include "daemon/daemon.h"

#include "build-config.h"
#include "common/cleanup.h"
#include "common/config/error.h"
#include "common/log.h"
#include "common/owner.h"
#include "common/parse.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "common/worker.h"
#include "control/varlink/server.h"
#include "daemon/device/epoch.h"
#include "daemon/flush.h"
#include "daemon/memory_limit.h"
#include "daemon/methods.h"
#include "daemon/metrics.h"
#include "daemon/net/link_monitor.h"
#include "daemon/paths.h"
#include "daemon/reload.h"
#include "daemon/schedule.h"
#include "daemon/settings.h"
#include "daemon/spool_log.h"
#include "daemon/state.h"
#include "daemon/tail.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

/* For the uploader to name the log ID, and for the operators, before READY. */
#define READY_WAIT_MS	      2000
#define READY_WAIT_SERVICE_MS 300
#define SPOOL_CLOSE_MS	      2000
/* At the end, for files and users that are still being asked for. */
#define ASIDE_END_MS 2000
/* After this time the loop checks for events of a higher priority. */
#define TURN_MAX_MS 2
/* timeout(1) and shells signal a process and its group at once: one request to stop, not two. */
#define SAME_SIGNAL (NSEC_PER_SEC / 2)

/* ---- readiness ------------------------------------------------------------------------------------- */

static void become_ready(struct daemon *daemon)
{
	if (daemon->ready || daemon->stopping)
		return;
	daemon->ready = true;
	event_del(daemon->ready_timer);
	if (varlink_server_listen(daemon->control, TAKE_FD(daemon->control_fd)) < 0)
		log_error("%s: cannot serve the control socket", daemon->config->control_socket);
	sd_notify(0, "READY=1");
	/* Prometheus would take a daemon with long windows for one that is down. */
	metrics_publish(daemon);
	daemon_notify_status(daemon);
}

static void on_ready_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)fd;
	(void)what;
	if (!daemon->operators_known)
		log_warning("%s: operators: no answer yet to who they are; until then they may not control",
			    daemon->config->file);
	become_ready(daemon);
}

/* Whether the clients' first questions can be answered: the log ID, and who may ask. */
static bool can_answer(const struct daemon *daemon)
{
	bool expected = daemon->external_uploader || daemon->uploader_process;

	return daemon->operators_known && (!expected || uploader_link_public_id(daemon->uploader));
}

/*
 * The devices count or are known to wait. Only the uploader is missing, and the log ID that it names, or the
 * operators: wait a moment for them. An uploader that runs as a service was there before and connects at
 * once, or is not there.
 */
static void devices_ready(struct daemon *daemon)
{
	int ms = daemon->external_uploader && daemon->operators_known ? READY_WAIT_SERVICE_MS : READY_WAIT_MS;
	struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (can_answer(daemon))
		become_ready(daemon);
	else
		evtimer_add(daemon->ready_timer, &wait);
}

/* Devices have come or gone, or may have. */
static void on_checked(void *userdata)
{
	daemon_notify_status(userdata);
}

/* One of those that devices_ready() waits for has come. */
static void check_ready(struct daemon *daemon)
{
	if (evtimer_pending(daemon->ready_timer, NULL) && can_answer(daemon))
		become_ready(daemon);
}

static void on_autostarted(const struct logger_thread_result *result, void *userdata)
{
	(void)result;
	daemon_notify_status(userdata);
	if (schedule_set_period(userdata) < 0)
		log_warning("the window timer cannot be set: the first window may be short");
	devices_ready(userdata);
}

static int autostart(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	int r;

	if (!config->autostart) {
		devices_ready(daemon);
		return 0;
	}
	if (config->tun.source == SOURCE_NONE && config->sock.source == SOURCE_NONE)
		log_warning("%s: no device configured: nothing is counted", config->file);
	r = logger_thread_start_anyway(daemon->logger, on_autostarted, daemon);
	daemon->running = r >= 0;
	return r;
}

/* ---- events from the parts ---------------------------------------------------------------------------- */

static void on_stored(uint64_t sequence, void *userdata)
{
	struct daemon *daemon = userdata;
	struct spool_status spool;

	spool_log_stored(daemon);
	spool_writer_get_status(daemon->spool, &spool);
	uploader_link_set_written(daemon->uploader, spool.written_messages, spool.written_bytes);
	uploader_link_wake(daemon->uploader, sequence);
	tail_wake(daemon->tail, sequence);
}

static void on_lost(const struct spool_loss *loss, void *userdata)
{
	spool_log_lost(userdata, loss);
}

static void on_spool_changed(void *userdata)
{
	spool_log_changed(userdata);
}

static const struct spool_events_ops spool_events_ops = {
	.stored = on_stored, .lost = on_lost, .changed = on_spool_changed};

static void on_identified(void *userdata)
{
	struct daemon *daemon = userdata;

	methods_identified(daemon);
	check_ready(daemon);
}

static void on_reported(void *userdata)
{
	struct daemon *daemon = userdata;

	spool_writer_prune(daemon->spool);
}

static void on_uploader_connected(bool connected, void *userdata)
{
	(void)connected;
	daemon_notify_status(userdata);
}

/* The uploader receives secrets, and its reports let segments be removed. So it must be the owner of the
 * upload directory. */
static bool is_uploader(uid_t uid, void *userdata)
{
	const struct daemon *daemon = userdata;
	struct stat status;

	if (uid == 0 || uid == getuid())
		return true;
	if (stat(daemon->config->upload_directory, &status) < 0) {
		log_warning("%s: cannot tell whether user %u is the uploader: %s",
			    daemon->config->upload_directory, (unsigned int)uid, strerror(errno));
		return false;
	}
	return status.st_uid == uid;
}

static const struct uploader_link_ops uploader_link_ops = {
	.identified = on_identified,
	.reported = on_reported,
	.connected = on_uploader_connected,
	.is_uploader = is_uploader,
};

static int open_spool_directory(void *userdata)
{
	struct daemon *daemon = userdata;

	return spool_writer_open_directory(daemon->spool);
}

static void on_uploader_started(int fd, void *userdata)
{
	struct daemon *daemon = userdata;

	if (uploader_link_add_connection(daemon->uploader, fd) < 0)
		log_warning("cannot serve the uploader's connection; messages stay in the spool");
}

static void on_links_changed(void *userdata)
{
	struct daemon *daemon = userdata;

	if (logger_thread_check_devices(daemon->logger) < 0)
		log_debug("logger busy: devices are checked at the end of the next window");
}

/* ---- signals and the end --------------------------------------------------------------------------- */

static void on_final_flush(const struct backlog *backlog, void *userdata)
{
	struct daemon *daemon = userdata;
	struct spool_status spool;
	uint64_t messages, bytes;

	spool_writer_get_status(daemon->spool, &spool);
	if (spool.unwritten_messages > 0)
		log_warning(
			"%llu %s (%llu %s) %s in memory: the spool cannot be written (%s); one last try follows",
			(unsigned long long)spool.unwritten_messages,
			plural(spool.unwritten_messages, "message", "messages"),
			(unsigned long long)spool.unwritten_bytes,
			plural(spool.unwritten_bytes, "byte", "bytes"),
			plural(spool.unwritten_messages, "waits", "wait"),
			spool.error < 0 ? spool_error_text(spool.error) : "the disk is slow");
	messages = backlog->messages - MIN(backlog->messages, spool.unwritten_messages);
	bytes = backlog->bytes - MIN(backlog->bytes, spool.unwritten_bytes);
	if (messages > 0)
		log_info("%llu %s (%llu %s) %s in the spool", (unsigned long long)messages,
			 plural(messages, "message", "messages"), (unsigned long long)bytes,
			 plural(bytes, "byte", "bytes"), plural(messages, "remains", "remain"));
	event_base_loopbreak(daemon->base);
}

static void on_final_stop(const struct logger_thread_result *result, void *userdata)
{
	struct daemon *daemon = userdata;
	struct flush *flush;

	(void)result;
	if (flush_begin(daemon, DEADLINE_DEFAULT_MS, on_final_flush, daemon, &flush) < 0)
		event_base_loopbreak(daemon->base);
}

static void on_end_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)what;
	if (daemon->stopping && time_now_boot() - daemon->stopping_since < SAME_SIGNAL)
		return;
	if (daemon->stopping) {
		log_info("signal %d again: stopping without waiting for deliveries", (int)signal_number);
		event_base_loopbreak(daemon->base);
		return;
	}
	log_info("stopping on signal %d", (int)signal_number);
	daemon->stopping = true;
	daemon->stopping_since = time_now_boot();
	daemon->running = false;
	schedule_stop(daemon);
	sd_notify(0, "STOPPING=1");
	if (logger_thread_stop_for_good(daemon->logger, on_final_stop, daemon) < 0)
		event_base_loopbreak(daemon->base);
}

static void on_reloaded(int result, const struct config_error *error, void *userdata)
{
	_cleanup_free_ char *text = error ? config_error_text(error) : NULL;
	struct daemon *daemon = userdata;

	methods_changed(daemon);
	if (result == -ECANCELED) {
		log_info("not reloaded: the daemon is stopping");
		return;
	}
	if (result < 0)
		log_error("%s; the previous configuration stays in use", text ? text : "out of memory");
	sd_notify(0, "READY=1");
}

static void on_reload_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	struct daemon *daemon = userdata;
	struct timespec now;

	(void)signal_number;
	(void)what;
	if (daemon->stopping) {
		log_info("not reloaded: the daemon is stopping");
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		   (long long)now.tv_sec * 1000000 + (long long)now.tv_nsec / 1000);
	reload(daemon, on_reloaded, daemon);
}

static const struct {
	int number;
	event_callback_fn callback;
} signals[] = {{SIGTERM, on_end_signal}, {SIGINT, on_end_signal}, {SIGHUP, on_reload_signal}};
_Static_assert(ARRAY_SIZE(signals) == ARRAY_SIZE(((struct daemon *)NULL)->signals), "an event for each");

static int catch_signals(struct daemon *daemon)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		daemon->signals[i] =
			evsignal_new(daemon->base, signals[i].number, signals[i].callback, daemon);
		if (!daemon->signals[i] || event_priority_set(daemon->signals[i], PRIORITY_WINDOW) < 0 ||
		    evsignal_add(daemon->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- making and freeing ---------------------------------------------------------------------------- */

static int open_spool(struct daemon *daemon)
{
	_cleanup_free_ char **sinks = settings_sink_names(daemon->config);
	_cleanup_free_ char *reason = NULL;
	struct spool_writer_options options;
	struct spool_loss loss;
	int r;

	if (!sinks)
		return -ENOMEM;
	settings_for_spool(daemon, daemon->config, sinks, &options);
	r = spool_writer_new(&options, &spool_events_writer_ops, daemon->spool_events, &daemon->spool,
			     &reason);
	if (r < 0) {
		if (!reason)
			reason = owner_error_text(daemon->config->spool_directory, r);
		log_error("%s: cannot open the spool: %s", daemon->config->spool_directory,
			  reason ? reason : strerror(-r));
		return r;
	}
	/* Losses that the previous run could not report. */
	r = spool_loss_note_read(daemon->config->state_directory, &loss);
	if (r == 0)
		spool_writer_add_loss(daemon->spool, &loss);
	else if (r != -ENOENT)
		log_warning("%s: cannot read the previous run's losses: %s", daemon->config->state_directory,
			    strerror(-r));
	return 0;
}

static int make_logger(struct daemon *daemon)
{
	struct logger_options options = {
		.clock = &clock_system,
		.spool = daemon->spool,
		.config = daemon->config,
		.aside = daemon->aside,
	};
	struct config_error error = {};
	int r = settings_load_nodes(daemon->config, &options.nodes, &error);

	if (r < 0) {
		_cleanup_free_ char *text = config_error_text(&error);

		log_error("%s", text ? text : strerror(-r));
		config_error_deinit(&error);
		return r;
	}
	r = epoch_new(&daemon->epoch);
	if (r < 0)
		log_info("eBPF is not available (%s): using other sources", strerror(-r));
	options.epoch = daemon->epoch;
	while (options.proc_id == 0)
		if (getrandom(&options.proc_id, sizeof(options.proc_id), 0) != sizeof(options.proc_id))
			options.proc_id = 0;
	r = logger_thread_new(daemon->base, &options, &daemon->logger);
	if (r >= 0)
		logger_thread_on_checked(daemon->logger, on_checked, daemon);
	return r;
}

static bool is_operator(uid_t uid, void *userdata)
{
	return settings_is_operator(userdata, uid);
}

/* All is its own: the daemon may end before a directory service has answered. */
struct operators_request {
	struct daemon *daemon; /* the loop's */
	char *file, **names;
	int result;
	struct config_error error;
	struct operators operators;
};

static void operators_request_free(struct operators_request *request)
{
	if (!request)
		return;
	free(request->file);
	strv_free(request->names);
	config_error_deinit(&request->error);
	free(request->operators.uids);
	free(request);
}

DEFINE_CLEANUP(struct operators_request *, operators_request_free);

static void find_operators(void *data)
{
	struct operators_request *request = data;

	request->result =
		settings_find_operators(request->file, request->names, &request->operators, &request->error);
}

static void on_operators_found(void *data)
{
	_cleanup_(operators_request_freep) struct operators_request *request = data;
	struct daemon *daemon = request->daemon;

	if (request->result < 0) {
		_cleanup_free_ char *text = config_error_text(&request->error);

		log_error("%s; ignored until a reload", text ? text : "out of memory");
	}
	daemon->operators = request->operators;
	request->operators = (struct operators){};
	daemon->operators_known = true;
	check_ready(daemon);
}

/* A directory service that does not answer must not keep the daemon from counting. */
static int look_up_operators(struct daemon *daemon)
{
	_cleanup_(operators_request_freep) struct operators_request *request = NULL;
	const struct config *config = daemon->config;
	int r;

	daemon->operators_known = !config->operators;
	if (daemon->operators_known)
		return 0;
	request = calloc(1, sizeof(*request));
	if (!request || text_copy(config->file, &request->file) < 0 ||
	    strv_copy(config->operators, &request->names) < 0)
		return -ENOMEM;
	request->daemon = daemon;
	r = worker_post(daemon->aside, find_operators, on_operators_found, request);
	if (r >= 0)
		TAKE_PTR(request);
	return r;
}

static int make_control(struct daemon *daemon)
{
	struct varlink_server_options options = {
		.vendor = "netlogd",
		.product = "netlogd",
		.version = NETLOGD_VERSION,
		.url = "https://netlogd.org",
		.keep_reserve = true,
		.worker = daemon->aside,
		.is_operator = is_operator,
		.operator_priority = PRIORITY_NORMAL,
		.other_priority = PRIORITY_OTHERS,
		.userdata = daemon,
	};
	int r = paths_open_control_socket(daemon);

	if (r < 0)
		return r;
	r = look_up_operators(daemon);
	if (r >= 0)
		r = varlink_server_new(daemon->base, &options, &daemon->control);
	if (r >= 0)
		r = methods_add(daemon);
	return r;
}

static int make_uploader(struct daemon *daemon)
{
	struct uploader_process_options options = {
		.config_file = daemon->config->file,
		.open_spool = open_spool_directory,
		.started = on_uploader_started,
		.userdata = daemon,
	};
	int r;

	if (daemon->external_uploader)
		return paths_open_upload_socket(daemon);
	r = uploader_process_new(daemon->base, &options, &daemon->uploader_process);
	if (r == -ENOENT) {
		log_error(
			"netlogd-upload not found beside netlogd: messages stay in the spool until it is installed and netlogd restarted");
		return 0;
	}
	return r;
}

static int make_parts(struct daemon *daemon)
{
	int r = memory_fit(daemon->config, !daemon->external_uploader);

	if (r >= 0)
		r = paths_prepare(daemon);
	if (r >= 0)
		r = catch_signals(daemon);
	if (r >= 0)
		r = worker_new(daemon->base, "aside", 0, &daemon->aside);
	if (r >= 0)
		r = spool_events_new(daemon->base, &spool_events_ops, daemon, &daemon->spool_events);
	if (r >= 0)
		r = open_spool(daemon);
	if (r >= 0)
		r = tail_new(daemon->base, daemon->config->spool_directory, &daemon->tail);
	if (r >= 0)
		r = uploader_link_new(daemon->base, &uploader_link_ops, daemon, &daemon->uploader);
	if (r >= 0)
		r = make_control(daemon);
	if (r >= 0)
		r = make_logger(daemon);
	if (r >= 0)
		r = make_uploader(daemon);
	if (r >= 0)
		r = link_monitor_new(daemon->base, on_links_changed, daemon, &daemon->links);
	if (r >= 0)
		r = schedule_new(daemon);
	return r;
}

/* A loop that checks for urgent events after each callback that takes long. */
static struct event_base *make_loop(void)
{
	const struct timeval interval = {.tv_usec = TURN_MAX_MS * 1000};
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_max_dispatch_interval(config, &interval, -1, PRIORITY_NORMAL) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (base && event_base_priority_init(base, N_PRIORITIES) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

DEFINE_CLEANUP(struct daemon *, daemon_free);

int daemon_new(const struct daemon_options *options, struct daemon **ret_daemon)
{
	_cleanup_(daemon_freep) struct daemon *daemon = calloc(1, sizeof(*daemon));
	int r;

	if (!daemon) {
		config_free(options->config);
		return -ENOMEM;
	}
	daemon->config = options->config;
	daemon->external_uploader = options->external_uploader;
	daemon->lock_fd = daemon->control_fd = daemon->window_timer_fd = -1;
	daemon->started = daemon->configuration_read = time_now_wall();
	LIST_INIT(&daemon->start_waits);
	LIST_INIT(&daemon->flushes);
	daemon->base = make_loop();
	if (!daemon->base)
		return -ENOMEM;
	daemon->ready_timer = evtimer_new(daemon->base, on_ready_timer, daemon);
	if (!daemon->ready_timer)
		return -ENOMEM;
	r = make_parts(daemon);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	*ret_daemon = TAKE_PTR(daemon);
	return 0;
}

int daemon_run(struct daemon *daemon)
{
	int r = autostart(daemon);

	if (r < 0)
		return r;
	return event_base_dispatch(daemon->base) < 0 ? -EIO : 0;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

/* Messages that cannot be written at last are lost: the daemon's own log says so now, the messages' log after
 * the next start. */
static void close_spool(struct daemon *daemon)
{
	struct spool_loss loss, late;
	int r;

	if (!daemon->spool)
		return;
	r = spool_writer_sync(daemon->spool, SPOOL_CLOSE_MS);
	spool_writer_close(daemon->spool, &loss);
	spool_events_take_loss(daemon->spool_events, &late);
	spool_loss_add(&loss, &late);
	if (loss.messages == 0) {
		/* What an earlier one lost is told, and all is synced. */
		if (r == 0 && daemon->spool_log.loss_told)
			spool_loss_note_remove(daemon->config->state_directory);
		return;
	}
	log_error("%llu %s (%llu %s) could not be written and %s lost: %s", (unsigned long long)loss.messages,
		  plural(loss.messages, "message", "messages"), (unsigned long long)loss.bytes,
		  plural(loss.bytes, "byte", "bytes"), plural(loss.messages, "is", "are"),
		  r < 0 ? spool_error_text(r) : "writes to the disk failed for a while");
	r = spool_loss_note_write(daemon->config->state_directory, &loss);
	if (r < 0)
		log_error("%s: cannot record this loss for the next start: %s",
			  daemon->config->state_directory, strerror(-r));
}

static void release_nothing(void *data)
{
	(void)data;
}

/*
 * The disk of the metrics or of the nodes file may hang, and so may a directory service: then the end does
 * not wait for them. The jobs use nothing but what is their own, so they are left behind.
 */
static void free_aside(struct worker *aside)
{
	if (!aside || worker_drain_within(aside, ASIDE_END_MS) == 0) {
		worker_free(aside);
		return;
	}
	log_warning(
		"not waiting any longer for a file (metrics-textfile, nodes-file) or the look-up of a user: no answer");
	worker_abandon(aside, release_nothing, NULL);
}

/*
 * What a callback uses outlives the callback. The loop does not run any more, so only two kinds are left:
 * second halves of the threads' work, which run here, inside of what frees a thread, and may use every part;
 * and those that wait for the uploader. Then come the clients, who have got their answers from both, and last
 * the spool, which all of them ask.
 */
void daemon_free(struct daemon *daemon)
{
	sigset_t late;

	if (!daemon)
		return;
	/* It ends already. Without their events, signals would end it on the spot. */
	sigemptyset(&late);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&late, signals[i].number);
	pthread_sigmask(SIG_BLOCK, &late, NULL);
	daemon->stopping = true;
	paths_remove_sockets(daemon);

	/* The logger's second halves may hand work to the other thread, whose own start nothing any more. */
	logger_thread_free(daemon->logger);
	varlink_server_end(daemon->control);
	free_aside(daemon->aside);

	if (daemon->uploader) {
		methods_identified(daemon);
		flush_end_all(daemon);
	}
	uploader_link_free(daemon->uploader);

	tail_free(daemon->tail);
	varlink_server_free(daemon->control);

	close_spool(daemon);
	spool_events_free(daemon->spool_events);
	uploader_process_free(daemon->uploader_process);
	epoch_free(daemon->epoch);

	link_monitor_free(daemon->links);
	schedule_free(daemon);
	free_event(daemon->ready_timer);
	for (size_t i = 0; i < ARRAY_SIZE(daemon->signals); i++)
		free_event(daemon->signals[i]);
	safe_close(daemon->control_fd);
	safe_close(daemon->lock_fd);
	free(daemon->upload_socket);
	free(daemon->operators.uids);
	free(daemon->configuration_error);
	free(daemon->status_text.text);
	free(daemon->metrics_text.text);
	if (daemon->base)
		event_base_free(daemon->base);
	config_free(daemon->config);
	free(daemon);
}
