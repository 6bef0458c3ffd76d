/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's assembly: what is made in which order, the timers, the signals, and the orderly end.
 * Everything slow is elsewhere: windows on the logger's thread, the disk on the spool's, the network in
 * another process.
 */

#include "build-config.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/time_text.h"
#include "control/varlink/server.h"
#include "daemon/device/epoch.h"
#include "daemon/net/link_monitor.h"
#include "daemon/state.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>

#define READY_WAIT_MS	   2000 /* how long READY waits for the uploader to name the log ID */
#define HEARTBEAT_LOOK_MIN (100 * NSEC_PER_MSEC)
#define SPOOL_CLOSE_MS	   2000
/* After so long the loop looks again whether something of a higher priority has come. */
#define TURN_MAX_MS 2
/* timeout(1) and shells signal a process and its group at once: that is one request to stop, not two. */
#define SAME_SIGNAL (NSEC_PER_SEC / 2)

void daemon_public_id(const struct daemon *daemon, char ret_text[static LOG_ID_TEXT_MAX])
{
	const struct log_id *id =
		daemon->has_log_id ? &daemon->public_id : uploader_link_public_id(daemon->uploader);

	ret_text[0] = '\0';
	if (id)
		log_id_format(id, ret_text);
}

/* Only what is new: sd_notify() waits when whoever listens does not read. */
void daemon_notify_status(struct daemon *daemon)
{
	static const char *const texts[2][2] = {
		{"STATUS=Stopped, no uploader", "STATUS=Stopped, uploader connected"},
		{"STATUS=Counting, no uploader", "STATUS=Counting, uploader connected"},
	};
	const char *text = texts[daemon->running][uploader_link_is_connected(daemon->uploader)];

	if (text == daemon->notified)
		return;
	daemon->notified = text;
	sd_notify(0, text);
}

/* ---- windows --------------------------------------------------------------------------------------- */

static void on_window_ended(const struct logger_thread_result *result, void *userdata)
{
	(void)result;
	daemon_publish_metrics(userdata);
}

static void on_window_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct daemon *daemon = userdata;
	uint64_t expirations;

	(void)what;
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	if (logger_thread_window_pending(daemon->logger))
		return; /* the window under way grows longer instead */
	if (logger_thread_end_window(daemon->logger, on_window_ended, daemon) < 0)
		log_warning("no memory for a window's end: this one grows longer");
}

/* Windows that are longer than a heartbeat's time leave it to this timer, which looks a little more often. */
static void set_heartbeat(struct daemon *daemon)
{
	int64_t heartbeat = daemon->config->heartbeat, look = MAX(heartbeat / 10, HEARTBEAT_LOOK_MIN);
	struct timeval interval = {look / NSEC_PER_SEC, look % NSEC_PER_SEC / NSEC_PER_USEC};

	event_del(daemon->heartbeat_timer);
	if (heartbeat > 0 && heartbeat < daemon->config->period &&
	    event_add(daemon->heartbeat_timer, &interval) < 0)
		log_warning("no memory: heartbeats come at windows' ends only");
}

static void on_heartbeat_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)fd;
	(void)what;
	logger_thread_check_devices(daemon->logger);
}

int daemon_set_period(struct daemon *daemon)
{
	int64_t period = daemon->config->period;
	struct itimerspec timer = {
		.it_value = {.tv_sec = period / NSEC_PER_SEC, .tv_nsec = period % NSEC_PER_SEC},
		.it_interval = {.tv_sec = period / NSEC_PER_SEC, .tv_nsec = period % NSEC_PER_SEC},
	};

	set_heartbeat(daemon);
	return timerfd_settime(daemon->window_timer_fd, 0, &timer, NULL) < 0 ? -errno : 0;
}

static int make_window_timer(struct daemon *daemon)
{
	daemon->window_timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (daemon->window_timer_fd < 0)
		return -errno;
	daemon->window_timer = event_new(daemon->base, daemon->window_timer_fd, EV_READ | EV_PERSIST,
					 on_window_timer, daemon);
	if (!daemon->window_timer || event_priority_set(daemon->window_timer, PRIORITY_WINDOW) < 0 ||
	    event_add(daemon->window_timer, NULL) < 0)
		return -ENOMEM;
	daemon->heartbeat_timer = event_new(daemon->base, -1, EV_PERSIST, on_heartbeat_timer, daemon);
	if (!daemon->heartbeat_timer)
		return -ENOMEM;
	return daemon_set_period(daemon);
}

/* ---- readiness ------------------------------------------------------------------------------------- */

static void become_ready(struct daemon *daemon)
{
	if (daemon->ready)
		return;
	daemon->ready = true;
	event_del(daemon->ready_timer);
	if (varlink_server_listen(daemon->control, TAKE_FD(daemon->control_fd)) < 0)
		log_error("%s can't be served", daemon->config->control_socket);
	sd_notify(0, "READY=1");
	daemon_notify_status(daemon);
}

static void on_ready_timer(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	become_ready(userdata);
}

/* The devices count, or are known to wait; what is left is the log ID's name, waited for a moment. */
static void devices_ready(struct daemon *daemon)
{
	struct timeval wait = {.tv_sec = READY_WAIT_MS / 1000};

	if (!daemon->uploader_process || uploader_link_public_id(daemon->uploader))
		become_ready(daemon);
	else
		evtimer_add(daemon->ready_timer, &wait);
}

static void on_autostarted(const struct logger_thread_result *result, void *userdata)
{
	(void)result;
	if (daemon_set_period(userdata) < 0)
		log_warning("the first window may be a short one");
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
		log_warning("%s names no device: nothing is counted", config->file);
	r = logger_thread_start_anyway(daemon->logger, on_autostarted, daemon);
	daemon->running = r >= 0;
	return r;
}

/* ---- what the parts say ---------------------------------------------------------------------------- */

static void on_stored(uint64_t sequence, void *userdata)
{
	struct daemon *daemon = userdata;

	if (daemon->loss_told)
		spool_loss_note_remove(daemon->config->state_directory);
	daemon->loss_told = false;
	uploader_link_wake(daemon->uploader, sequence);
	tail_wake(daemon->tail, sequence);
}

static void on_lost(const struct spool_loss *loss, void *userdata)
{
	struct daemon *daemon = userdata;
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX], text[256];

	time_format(loss->from, from);
	time_format(loss->to, to);
	snprintf(text, sizeof(text),
		 "lost %llu message%s (%llu bytes) from %s to %s: the spool could not be written",
		 (unsigned long long)loss->messages, loss->messages == 1 ? "" : "s",
		 (unsigned long long)loss->bytes, from, to);
	log_warning("%s", text);
	if (logger_thread_tell(daemon->logger, text) < 0)
		log_warning("no memory to log this loss");
	else
		daemon->loss_told = true;
}

static const struct spool_events_ops spool_events_ops = {.stored = on_stored, .lost = on_lost};

static void on_identified(void *userdata)
{
	struct daemon *daemon = userdata;

	methods_identified(daemon);
	if (evtimer_pending(daemon->ready_timer, NULL))
		become_ready(daemon);
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

/* Secrets go to the uploader, and what it says of deliveries lets segments go: it is who owns
 * its directory. */
static bool is_uploader(uid_t uid, void *userdata)
{
	const struct daemon *daemon = userdata;
	struct stat status;

	if (uid == 0 || uid == getuid())
		return true;
	return stat(daemon->config->upload_directory, &status) == 0 && status.st_uid == uid;
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
		log_warning("the uploader can't be served");
}

static void on_links_changed(void *userdata)
{
	struct daemon *daemon = userdata;

	if (logger_thread_check_devices(daemon->logger) < 0)
		log_debug("too much to do to look after the devices now; the next window's end does");
}

/* ---- signals and the end --------------------------------------------------------------------------- */

void daemon_what_remains(const struct daemon *daemon, const struct uploader_pending *said,
			 uint64_t *ret_messages, uint64_t *ret_bytes)
{
	struct spool_status spool = {};

	/* Without sinks nothing waits to be delivered. */
	if (daemon->config->n_sinks > 0)
		spool_writer_get_status(daemon->spool, &spool);
	*ret_messages = (said->known ? said->messages : spool.messages) + spool.waiting_messages;
	*ret_bytes = (said->known ? said->bytes : spool.bytes) + spool.waiting_bytes;
}

static void on_final_flush(const struct uploader_pending *pending, void *userdata)
{
	struct daemon *daemon = userdata;
	uint64_t messages, bytes;

	daemon_what_remains(daemon, pending, &messages, &bytes);
	if (messages > 0)
		log_info("%llu messages (%llu bytes) remain in the spool", (unsigned long long)messages,
			 (unsigned long long)bytes);
	event_base_loopbreak(daemon->base);
}

static void on_final_stop(const struct logger_thread_result *result, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)result;
	if (uploader_link_flush(daemon->uploader, DEADLINE_DEFAULT_MS, on_final_flush, daemon) < 0)
		event_base_loopbreak(daemon->base);
}

static void on_end_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	struct daemon *daemon = userdata;

	(void)what;
	if (daemon->stopping && time_now_boot() - daemon->stopping_since < SAME_SIGNAL)
		return;
	if (daemon->stopping) {
		log_info("signal %d again: not waiting for deliveries", (int)signal_number);
		event_base_loopbreak(daemon->base);
		return;
	}
	log_info("stopping on signal %d", (int)signal_number);
	daemon->stopping = true;
	daemon->stopping_since = time_now_boot();
	daemon->running = false;
	sd_notify(0, "STOPPING=1");
	if (logger_thread_stop_for_good(daemon->logger, on_final_stop, daemon) < 0)
		event_base_loopbreak(daemon->base);
}

static void on_reloaded(const struct config_error *error, void *userdata)
{
	_cleanup_free_ char *text = error ? config_error_text(error) : NULL;
	struct daemon *daemon = userdata;

	methods_changed(daemon);
	if (error)
		log_error("%s; nothing is changed", text ? text : "no memory");
	sd_notify(0, "READY=1");
}

static void on_reload_signal(evutil_socket_t signal_number, short what, void *userdata)
{
	struct daemon *daemon = userdata;
	struct timespec now;

	(void)signal_number;
	(void)what;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		   (long long)now.tv_sec * 1000000 + (long long)now.tv_nsec / 1000);
	daemon_reload(daemon, on_reloaded, daemon);
}

static int catch_signals(struct daemon *daemon)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[ARRAY_SIZE(daemon->signals)] = {
		{SIGTERM, on_end_signal}, {SIGINT, on_end_signal}, {SIGHUP, on_reload_signal}};

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

/* What the run before this one could not tell. */
static void read_loss_note(struct daemon *daemon)
{
	struct spool_loss loss;
	int r = spool_loss_note_read(daemon->config->state_directory, &loss);

	if (r == 0)
		spool_writer_add_loss(daemon->spool, &loss);
	else if (r != -ENOENT)
		log_warning("%s: a note of lost messages can't be read: %s", daemon->config->state_directory,
			    strerror(-r));
}

static int open_spool(struct daemon *daemon)
{
	_cleanup_free_ char **sinks = daemon_sink_names(daemon->config);
	_cleanup_free_ char *reason = NULL;
	struct spool_writer_options options;
	int r;

	if (!sinks)
		return -ENOMEM;
	daemon_spool_options(daemon, daemon->config, sinks, &options);
	r = spool_writer_new(&options, &spool_events_writer_ops, daemon->spool_events, &daemon->spool,
			     &reason);
	if (r < 0)
		log_error("spool %s: %s", daemon->config->spool_directory, reason ? reason : strerror(-r));
	else
		read_loss_note(daemon);
	return r;
}

static uint32_t new_proc_id(void)
{
	uint32_t id = 0;

	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

static int load_nodes(const struct config *config, struct nodes **ret_nodes)
{
	struct config_error error = {};
	int r = config->nodes_file ? nodes_load(config->nodes_file, ret_nodes, &error) : 0;

	if (r < 0) {
		_cleanup_free_ char *text = config_error_text(&error);

		log_error("%s", text ? text : strerror(-r));
	}
	config_error_deinit(&error);
	return r;
}

static int make_recorder(struct daemon *daemon)
{
	struct nodes *nodes = NULL;
	int r = load_nodes(daemon->config, &nodes);

	if (r < 0)
		return r;
	r = epoch_new(&daemon->epoch);
	if (r < 0)
		log_info("no eBPF here (%s): sources that need it are not used", strerror(-r));
	struct logger_options options = {
		.clock = &clock_system,
		.epoch = daemon->epoch,
		.spool = daemon->spool,
		.config = daemon->config,
		.nodes = nodes,
		.proc_id = new_proc_id(),
	};
	return logger_thread_new(daemon->base, &options, &daemon->logger);
}

/* From whoever connects to the control socket. */
static bool is_operator(uid_t uid, void *userdata)
{
	const struct daemon *daemon = userdata;

	if (uid == 0 || uid == getuid())
		return true;
	for (size_t i = 0; i < daemon->n_operators; i++)
		if (daemon->operators[i] == uid)
			return true;
	return false;
}

static int make_control(struct daemon *daemon)
{
	struct varlink_server_options options = {
		.vendor = "netlogd",
		.product = "netlogd",
		.version = NETLOGD_VERSION,
		.url = "https://netlogd.org",
		.is_operator = is_operator,
		.operator_priority = PRIORITY_NORMAL,
		.other_priority = PRIORITY_OTHERS,
		.userdata = daemon,
	};
	int r = daemon_open_control_socket(daemon);

	if (r >= 0)
		r = daemon_set_operators(daemon, daemon->config);
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
		return daemon_open_upload_socket(daemon);
	r = uploader_process_new(daemon->base, &options, &daemon->uploader_process);
	if (r == -ENOENT) {
		log_error("netlogd-upload is not where netlogd is: messages stay in the spool");
		return 0;
	}
	return r;
}

static int make_parts(struct daemon *daemon)
{
	int r = daemon_prepare_directories(daemon);

	if (r >= 0)
		r = catch_signals(daemon);
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
		r = make_recorder(daemon);
	if (r >= 0)
		r = make_uploader(daemon);
	if (r >= 0)
		r = link_monitor_new(daemon->base, on_links_changed, daemon, &daemon->links);
	if (r >= 0)
		r = make_window_timer(daemon);
	return r;
}

/* A loop that looks for what is urgent after each callback that took long. */
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
	daemon->base = make_loop();
	if (!daemon->base)
		return -ENOMEM;
	daemon->ready_timer = evtimer_new(daemon->base, on_ready_timer, daemon);
	if (!daemon->ready_timer)
		return -ENOMEM;
	r = make_parts(daemon);
	if (r < 0) {
		log_error("netlogd could not start: %s", strerror(-r));
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

/* What the disk refuses to the end is lost: the daemon's own log says so now, the log of messages at the next
 * start.
 */
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
	if (loss.messages == 0)
		return;
	log_error("%llu messages (%llu bytes) could not be written and are lost: %s",
		  (unsigned long long)loss.messages, (unsigned long long)loss.bytes,
		  r < 0 ? strerror(-r) : "the disk refused for a while");
	r = spool_loss_note_write(daemon->config->state_directory, &loss);
	if (r < 0)
		log_error("%s: no note of that can be left: %s", daemon->config->state_directory,
			  strerror(-r));
}

/* Clients first, so that nothing new comes; the logger's thread before the spool that it writes to. */
void daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return;
	daemon_remove_sockets(daemon);
	methods_free(daemon);
	tail_free(daemon->tail);
	varlink_server_free(daemon->control);
	link_monitor_free(daemon->links);
	logger_thread_free(daemon->logger);
	uploader_link_free(daemon->uploader); /* the answers to its flushes look at the spool */
	close_spool(daemon);
	spool_events_free(daemon->spool_events);
	uploader_process_free(daemon->uploader_process);
	epoch_free(daemon->epoch);
	free_event(daemon->window_timer);
	free_event(daemon->heartbeat_timer);
	free_event(daemon->ready_timer);
	for (size_t i = 0; i < ARRAY_SIZE(daemon->signals); i++)
		free_event(daemon->signals[i]);
	safe_close(daemon->window_timer_fd);
	safe_close(daemon->control_fd);
	safe_close(daemon->lock_fd);
	free(daemon->upload_socket);
	free(daemon->operators);
	free(daemon->configuration_error);
	free(daemon->status_text.text);
	free(daemon->metrics_text.text);
	if (daemon->base)
		event_base_free(daemon->base);
	config_free(daemon->config);
	free(daemon);
}
