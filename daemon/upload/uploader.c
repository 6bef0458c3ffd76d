/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uploader's loop: what wakes it (the daemon, the spool, signals, timers) and what it reports to the
 * daemon (the node's ID, the sinks' states, the end of a flush).
 */

#include "daemon/upload/uploader.h"

#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/file.h"
#include "common/log.h"
#include "common/owner.h"
#include "common/time_text.h"
#include "daemon/upload/broker/broker.h"
#include "daemon/upload/credentials/credentials.h"
#include "daemon/upload/flushes.h"
#include "daemon/upload/http/curl_loop.h"
#include "daemon/upload/link.h"
#include "daemon/upload/metrics_http.h"
#include "daemon/upload/restart.h"
#include "daemon/upload/sandbox/directory.h"
#include "daemon/upload/sandbox/landlock.h"
#include "daemon/upload/sandbox/sandbox.h"
#include "daemon/upload/sandbox/system_files.h"
#include "daemon/upload/sandbox/user.h"
#include "daemon/upload/sink/sink.h"
#include "daemon/upload/sinks.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_INTERVAL (250 * NSEC_PER_MSEC)
/* How often the spool is checked even when nothing announces new messages. */
#define POLL_SECONDS	     5
#define POLL_SECONDS_MISSING 1
/* Larger than the largest that config_load() takes. */
#define CONFIG_SIZE_MAX (2 << 20)

struct uploader {
	char *config_file;
	struct event_base *base;
	struct config_ref *config;
	int upload_fd;
	int spool_fd;	 /* or what stands for it; -1: does not exist yet */
	int spool_error; /* of the last try to open it */
	int inotify_fd;
	bool spool_watched;
	int etc_watch;	    /* -1: none */
	uint64_t forbidden; /* system_files_forbidden() at the start, without and with links */
	uint64_t forbidden_with_links;
	struct restart *restart;
	struct curl_loop *curl;
	struct broker *broker;
	struct credentials *credentials;
	struct link *link;
	struct sinks *sinks;
	struct metrics_http *metrics;
	char *metrics_listen; /* as it is in use */
	int metrics_error;    /* of the last try to listen */
	bool is_child;	      /* ends when the daemon does */
	bool is_waiting;      /* for the daemon's first words: which log IDs its run has */
	struct flushes flushes;
	struct event *signals[3];
	struct event *spool_event; /* inotify */
	struct event *poll_timer;  /* checks the spool now and then, whatever else announces changes */
	struct event *report_timer;
	struct event *flush_timer;
	int64_t last_report;
};

static void add_timer(struct event *timer, int64_t delay)
{
	struct timeval timeout = {
		.tv_sec = MAX(delay, INT64_C(0)) / NSEC_PER_SEC,
		.tv_usec = MAX(delay, INT64_C(0)) % NSEC_PER_SEC / NSEC_PER_USEC,
	};

	evtimer_add(timer, &timeout);
}

/* ---- reports ---- */

static void report(struct uploader *uploader)
{
	size_t n = sinks_count(uploader->sinks);
	_cleanup_free_ struct sink_status *statuses = calloc(n + 1, sizeof(*statuses));
	bool again = false;

	uploader->last_report = time_now_boot();
	if (!statuses || !link_is_connected(uploader->link))
		return;
	for (size_t i = 0; i < n; i++) {
		sink_get_status(sinks_get(uploader->sinks, i), &statuses[i]);
		again |= statuses[i].backlog_is_old;
	}
	link_report(uploader->link, statuses, n);
	if (again)
		add_timer(uploader->report_timer, NSEC_PER_SEC);
}

static void on_report_timer(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	report(userdata);
}

/* Reports the sinks soon, and checks the flushes. */
static void on_sinks_changed(void *userdata)
{
	struct uploader *uploader = userdata;

	if (!evtimer_pending(uploader->report_timer, NULL) && uploader->link &&
	    link_is_connected(uploader->link))
		add_timer(uploader->report_timer, uploader->last_report + REPORT_INTERVAL - time_now_boot());
	/* From the loop, not from within what has changed. */
	if (uploader->flushes.n > 0)
		add_timer(uploader->flush_timer, 0);
	if (uploader->restart)
		restart_check(uploader->restart);
}

static void on_sink_ran(void *userdata)
{
	const struct uploader *uploader = userdata;

	if (uploader->flushes.n > 0)
		on_sinks_changed(userdata);
}

static const struct sinks_ops sinks_ops = {.changed = on_sinks_changed, .ran = on_sink_ran};

/* ---- flushes ---- */

/* The largest backlog of all sinks is what remains. */
static void answer_flush(struct uploader *uploader, int64_t id)
{
	uint64_t messages = 0, bytes = 0;

	for (size_t i = 0; i < sinks_count(uploader->sinks); i++) {
		struct sink_status status;

		sink_get_status(sinks_get(uploader->sinks, i), &status);
		if (status.backlog_messages < messages)
			continue;
		messages = status.backlog_messages;
		bytes = status.backlog_bytes;
	}
	link_flushed(uploader->link, id, messages, bytes);
}

static void on_flush_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct uploader *uploader = userdata;
	struct flushes *flushes = &uploader->flushes;
	int64_t now = time_now_boot(), id;
	bool settled = true;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < sinks_count(uploader->sinks); i++)
		settled = settled && sink_is_settled(sinks_get(uploader->sinks, i));
	/* Before the answer, so that a client that waited for it sees its result. */
	if (flushes->n > 0 && (settled || flushes_deadline(flushes) <= now))
		report(uploader);
	while (flushes_take(flushes, settled, now, &id))
		answer_flush(uploader, id);
	if (flushes->n > 0)
		add_timer(uploader->flush_timer, flushes_deadline(flushes) - now);
}

/* ---- the spool, files of the system and the metrics port ---- */

static void wake_sinks(struct uploader *uploader)
{
	for (size_t i = 0; i < sinks_count(uploader->sinks); i++)
		sink_wake(sinks_get(uploader->sinks, i));
	/* The backlog of those that wait has grown. */
	if (sinks_count(uploader->sinks) > 0)
		on_sinks_changed(uploader);
}

/* Opens the spool as soon as it exists and can be watched. */
static void find_spool(struct uploader *uploader)
{
	int fd;

	if (uploader->spool_fd >= 0 && (uploader->spool_watched || uploader->inotify_fd < 0))
		return;
	fd = broker_open_spool(uploader->broker, &uploader->spool_watched);
	if (fd < 0 && fd != -ENOENT && fd != uploader->spool_error)
		log_error("spool %s: %s; trying again", uploader->config->config->spool_directory,
			  strerror(-fd));
	uploader->spool_error = MIN(fd, 0);
	if (fd < 0)
		return;
	safe_close(uploader->spool_fd);
	uploader->spool_fd = fd;
}

static void set_metrics_listen(struct uploader *uploader)
{
	const char *wanted = uploader->config->config->metrics_listen;
	const char *current = uploader->metrics_listen;
	int r;

	if ((!wanted && !current) || (wanted && current && strcmp(wanted, current) == 0))
		return;
	metrics_http_free(TAKE_PTR(uploader->metrics));
	free(TAKE_PTR(uploader->metrics_listen));
	if (!wanted)
		return;
	r = metrics_http_new(uploader->base, wanted, &uploader->metrics);
	/* The address may appear later, with its tunnel: tried again, logged once. */
	if (r < 0 && r != uploader->metrics_error)
		log_error("metrics-listen %s: %s; trying again", wanted, strerror(-r));
	else if (r >= 0)
		uploader->metrics_listen = strdup(wanted);
	uploader->metrics_error = MIN(r, 0);
}

/* What started this process starts it again. */
static bool can_restart(const struct uploader *uploader)
{
	return uploader->is_child || getenv("NOTIFY_SOCKET");
}

/*
 * Whether the names that are needed to find and verify a server lead to what the confinement does not allow.
 * All links in the directories of certificates are followed only while something fails, and when asked to.
 */
static void check_system_files(struct uploader *uploader, bool links)
{
	_cleanup_free_ char *path = NULL, *reason = NULL;
	uint64_t before = links ? uploader->forbidden_with_links : uploader->forbidden;
	uint64_t now = system_files_forbidden(links, &path);

	if (now == 0 || now == before || !can_restart(uploader))
		return;
	if (asprintf(&reason,
		     "%s leads to another file than before, which the confinement does not allow yet",
		     path ? path : "/etc") < 0)
		reason = NULL;
	restart_want(uploader->restart, reason ? reason : "files of the system have changed");
}

/*
 * Under a service manager each start gets its own view of the file system, and directories made for it: one
 * that is made anew is not in the view of now. So a file that could be used until now is worth one restart.
 */
static bool has_lost_file(const struct sink_status *status)
{
	return status->state == SINK_STATE_MISCONFIGURED && status->last_error[0] == '/' &&
	       status->sent_messages > 0;
}

static void check_files(struct uploader *uploader)
{
	bool failing = false, lost = false;

	for (size_t i = 0; i < sinks_count(uploader->sinks); i++) {
		struct sink_status status;

		sink_get_status(sinks_get(uploader->sinks, i), &status);
		failing |= status.state == SINK_STATE_RETRYING || status.state == SINK_STATE_MISCONFIGURED;
		lost |= has_lost_file(&status);
	}
	check_system_files(uploader, failing);
	/* The confinement allows the directory that was there at the start, and no other. */
	if (can_restart(uploader) &&
	    file_is_at(uploader->upload_fd, AT_FDCWD, uploader->config->config->upload_directory, 0) == 0)
		restart_want(uploader->restart, "the upload directory was removed or moved");
	if (lost && getenv("NOTIFY_SOCKET") && !uploader->is_child)
		restart_want(uploader->restart, "a file that could be used before can't be used any more");
}

static void on_poll_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct uploader *uploader = userdata;

	(void)fd;
	(void)what;
	if (!broker_is_alive(uploader->broker)) {
		log_error("stopping: netlogd-files, which opens files for the uploader, has exited");
		event_base_loopbreak(uploader->base);
		return;
	}
	find_spool(uploader);
	check_files(uploader);
	sinks_start_missing(uploader->sinks, uploader->config);
	set_metrics_listen(uploader);
	wake_sinks(uploader);
	add_timer(uploader->poll_timer,
		  (!uploader->spool_watched ? POLL_SECONDS_MISSING : POLL_SECONDS) * NSEC_PER_SEC);
}

static void on_files_changed(evutil_socket_t fd, short what, void *userdata)
{
	struct uploader *uploader = userdata;
	char events[4096];
	bool etc = false, spool = false;
	ssize_t n = read(fd, events, sizeof(events));

	(void)what;
	/* What happened does not matter. More events than these wake the loop again. */
	for (ssize_t at = 0; at < n;) {
		struct inotify_event event;

		memcpy(&event, events + at, sizeof(event));
		etc |= event.wd == uploader->etc_watch;
		spool |= event.wd != uploader->etc_watch;
		at += (ssize_t)(sizeof(event) + event.len);
	}
	if (spool)
		wake_sinks(uploader);
	if (etc)
		check_system_files(uploader, true);
}

/* ---- configuration ---- */

/* Without a broker the file is opened here: before the process is confined. */
static int load_config(struct broker *broker, const char *file, struct config_ref **ret_config,
		       char **ret_reason)
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_free_ struct config_ref *ref = calloc(1, sizeof(*ref));
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	size_t size;
	int r;

	if (!ref)
		return -ENOMEM;
	ref->n_refs = 1;
	if (!broker) {
		r = config_load(file, &ref->config, &error);
	} else {
		fd = broker_open_config(broker, file);
		r = fd < 0 ? fd : file_read_fd(fd, CONFIG_SIZE_MAX, &text, &size, NULL);
		if (r < 0)
			error = (struct config_error){.file = strdup(file), .reason = strdup(strerror(-r))};
		else
			r = config_parse(file, text, size, &ref->config, &error);
	}
	if (r < 0) {
		*ret_reason = config_error_text(&error);
		return r;
	}
	*ret_config = TAKE_PTR(ref);
	return 0;
}

/* The directories are open, and the sinks' state is in them. The key of one that is another now, or NULL. */
static const char *moved_directory(const struct config *running, const struct config *wanted)
{
	if (strcmp(running->upload_directory, wanted->upload_directory) != 0)
		return "[netlogd] upload-directory";
	if (strcmp(running->spool_directory, wanted->spool_directory) != 0)
		return "[spool] directory";
	return NULL;
}

static void reload(struct uploader *uploader)
{
	_cleanup_(credentials_freep) struct credentials *credentials = NULL;
	_cleanup_free_ char *reason = NULL;
	struct config_ref *config;
	const char *key;
	int r;

	r = load_config(uploader->broker, uploader->config_file, &config, &reason);
	if (r < 0) {
		log_error("%s; the previous configuration stays in use", reason ? reason : strerror(-r));
		return;
	}
	/* As the daemon has it. The file may also have changed since the daemon read it, or be half written.
	 */
	key = moved_directory(uploader->config->config, config->config);
	if (key) {
		log_error("%s: %s changes only with a restart; the previous configuration stays in use",
			  uploader->config_file, key);
		config_unref(config);
		return;
	}
	/* All of the new configuration is used, or nothing of it. */
	r = sinks_reserve(uploader->sinks, config->config->n_sinks);
	if (r < 0) {
		log_error("cannot change the sinks: %s; the previous configuration stays in use",
			  strerror(-r));
		config_unref(config);
		return;
	}
	log_set_level(config->config->log_level);
	r = credentials_new(config->config, uploader->upload_fd, uploader->broker, &credentials, &reason);
	if (r < 0)
		log_error("%s; the previous log IDs stay in use", reason ? reason : strerror(-r));
	else
		/* In place: the sinks point to them. */
		credentials_swap(uploader->credentials, credentials);
	if (landlock_needs_restart(uploader->config->config, config->config)) {
		if (can_restart(uploader))
			restart_want(
				uploader->restart,
				"the new configuration needs a port that the confinement does not allow");
		else
			log_warning("the configuration names a port that is allowed only after a restart");
	}
	config_unref(uploader->config);
	uploader->config = config;
	sinks_configure(uploader->sinks, config);
	set_metrics_listen(uploader);
	link_identify(uploader->link, &uploader->credentials->public_id,
		      &uploader->credentials->domain_public_id, false);
	on_sinks_changed(uploader);
}

/* ---- what the daemon says ---- */

static void on_connected(void *userdata)
{
	struct uploader *uploader = userdata;

	if (!uploader->link)
		return;
	link_identify(uploader->link, &uploader->credentials->public_id,
		      &uploader->credentials->domain_public_id, false);
	uploader->last_report = 0;
	add_timer(uploader->report_timer, 0);
}

static void on_closed(void *userdata)
{
	struct uploader *uploader = userdata;

	uploader->flushes.n = 0;
	if (uploader->is_child)
		event_base_loopbreak(uploader->base);
}

static void hold_sinks(struct uploader *uploader, bool hold)
{
	uploader->is_waiting = hold;
	for (size_t i = 0; i < sinks_count(uploader->sinks); i++)
		sink_hold(sinks_get(uploader->sinks, i), hold);
}

static void on_wake(void *userdata)
{
	struct uploader *uploader = userdata;

	/* The log IDs, if there are any, came before. */
	if (uploader->is_waiting)
		hold_sinks(uploader, false);
	wake_sinks(uploader);
}

static void on_flush(int64_t id, int64_t deadline_ms, void *userdata)
{
	struct uploader *uploader = userdata;
	int64_t deadline = time_now_boot() + MIN(deadline_ms, INT64_C(86400000)) * NSEC_PER_MSEC;

	/* One that is known and has no time is forgotten: its client has left. */
	if (deadline_ms <= 0 && flushes_forget(&uploader->flushes, id))
		return;
	if (!flushes_put(&uploader->flushes, id, deadline)) {
		answer_flush(uploader, id);
		return;
	}
	for (size_t i = 0; i < sinks_count(uploader->sinks); i++)
		sink_flush(sinks_get(uploader->sinks, i), deadline);
	add_timer(uploader->flush_timer, 0);
}

static void on_log_ids(const char *node, const char *domain, void *userdata)
{
	struct uploader *uploader = userdata;
	struct log_id public_id;
	int r;

	/* A domain given to an earlier Start does not apply any more. */
	r = credentials_set_domain(uploader->credentials, node ? NULL : domain);
	if (r >= 0 && node)
		r = credentials_keep(uploader->credentials, node, domain, &public_id);
	if (r < 0)
		log_error("cannot store the log ID given to Start: %s", strerror(-r));
	link_identify(uploader->link, &uploader->credentials->public_id,
		      &uploader->credentials->domain_public_id, r >= 0);
	for (size_t i = 0; i < sinks_count(uploader->sinks); i++)
		sink_retry(sinks_get(uploader->sinks, i));
}

static void on_metrics(const char *text, void *userdata)
{
	struct uploader *uploader = userdata;

	metrics_http_set_text(uploader->metrics, text);
}

static void on_reload(void *userdata)
{
	reload(userdata);
}

static const struct link_ops link_ops = {
	.connected = on_connected,
	.closed = on_closed,
	.wake = on_wake,
	.flush = on_flush,
	.log_ids = on_log_ids,
	.metrics = on_metrics,
	.reload = on_reload,
};

/* ---- life ---- */

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	struct uploader *uploader = userdata;

	(void)what;
	if (number == SIGHUP) {
		if (!uploader->is_child)
			broker_notify(uploader->broker, BROKER_NOTIFY_RELOADING);
		reload(uploader);
		if (!uploader->is_child)
			broker_notify(uploader->broker, BROKER_NOTIFY_READY);
	} else {
		event_base_loopbreak(uploader->base);
	}
}

static int make_directories(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)make_directory_at(AT_FDCWD, path, 0700);
		*slash = '/';
	}
	return make_directory_at(AT_FDCWD, path, 0700);
}

static int open_upload_directory(struct uploader *uploader, char **ret_reason)
{
	const char *path = uploader->config->config->upload_directory;
	_cleanup_free_ char *copy = strdup(path);
	int r;

	if (!copy)
		return -ENOMEM;
	uploader->upload_fd = open_directory(path);
	if (uploader->upload_fd >= 0) {
		/* A log ID may be in one. */
		file_remove_temporary(uploader->upload_fd, NULL);
		return 0;
	}
	r = make_directories(copy);
	if (r == 0) {
		uploader->upload_fd = open_directory(path);
		r = MIN(uploader->upload_fd, 0);
	}
	if (r < 0) {
		_cleanup_free_ char *reason = owner_error_text(path, r);

		if (asprintf(ret_reason, "upload-directory %s: %s", path, reason ? reason : strerror(-r)) < 0)
			*ret_reason = NULL;
	}
	return r;
}

static int make_events(struct uploader *uploader)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	uploader->base = event_base_new();
	if (!uploader->base)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uploader->signals[i] = evsignal_new(uploader->base, numbers[i], on_signal, uploader);
		if (!uploader->signals[i] || evsignal_add(uploader->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	/* A peer that closes is an error of the write, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	uploader->poll_timer = evtimer_new(uploader->base, on_poll_timer, uploader);
	uploader->report_timer = evtimer_new(uploader->base, on_report_timer, uploader);
	uploader->flush_timer = evtimer_new(uploader->base, on_flush_timer, uploader);
	if (!uploader->poll_timer || !uploader->report_timer || !uploader->flush_timer)
		return -ENOMEM;
	add_timer(uploader->poll_timer, 0);
	if (uploader->inotify_fd < 0)
		return 0;
	uploader->spool_event = event_new(uploader->base, uploader->inotify_fd, EV_READ | EV_PERSIST,
					  on_files_changed, uploader);
	return uploader->spool_event && event_add(uploader->spool_event, NULL) == 0 ? 0 : -ENOMEM;
}

/*
 * Does what needs rights or other processes, and gives up both. Root becomes another user if it can: a
 * container may not have the right to. What earlier runs as root have left is given to that user.
 */
static int confine(struct uploader *uploader)
{
	const struct config *config = uploader->config->config;
	struct broker_options options = {.config = config, .spool_fd = uploader->spool_fd};
	int r;

	uploader->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (uploader->inotify_fd >= 0)
		uploader->etc_watch =
			inotify_add_watch(uploader->inotify_fd, "/etc", IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	options.inotify_fd = uploader->inotify_fd;
	r = sandbox_user_find(&options.user);
	if (r < 0) {
		log_error("cannot find out whether there is a user netlogd-upload: %s", strerror(-r));
		return r;
	}
	r = sandbox_user_assume(&options.user);
	sandbox_user_restore(&options.user);
	if (r == 0)
		r = sandbox_give_directory(uploader->upload_fd, &options.user, config);
	if (r < 0) {
		log_warning("the uploader stays root: %s", strerror(-r));
		options.user = (struct sandbox_user){.uid = geteuid(), .gid = getegid()};
	}
	r = broker_new(&options, &uploader->broker);
	if (r < 0)
		return r;
	uploader->spool_fd = safe_close(uploader->spool_fd);
	r = sandbox_enter(config, &options.user, uploader->upload_fd, !can_restart(uploader));
	uploader->forbidden = system_files_forbidden(false, NULL);
	uploader->forbidden_with_links = system_files_forbidden(true, NULL);
	return r;
}

/* Takes the link's descriptor. */
static int start(struct uploader *uploader, int link_fd, char **ret_reason)
{
	_cleanup_close_ int fd = link_fd;
	struct sinks_options options = {
		.spool_fd = &uploader->spool_fd, .ops = &sinks_ops, .userdata = uploader};
	int r;

	uploader->is_child = fd >= 0;
	r = load_config(NULL, uploader->config_file, &uploader->config, ret_reason);
	if (r < 0)
		return r;
	log_set_level(uploader->config->config->log_level);
	r = open_upload_directory(uploader, ret_reason);
	if (r == 0)
		r = confine(uploader);
	if (r < 0)
		return r;
	find_spool(uploader);
	r = make_events(uploader);
	if (r < 0)
		return r;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	r = curl_loop_new(uploader->base, &uploader->curl);
	if (r == 0)
		r = credentials_new(uploader->config->config, uploader->upload_fd, uploader->broker,
				    &uploader->credentials, ret_reason);
	if (r < 0)
		return r;
	options.base = uploader->base;
	options.credentials = uploader->credentials;
	options.broker = uploader->broker;
	options.curl = uploader->curl;
	options.upload_fd = uploader->upload_fd;
	r = sinks_new(&options, &uploader->sinks);
	if (r == 0)
		r = sinks_reserve(uploader->sinks, uploader->config->config->n_sinks);
	if (r == 0)
		r = restart_new(uploader->base, uploader->sinks, uploader->is_child, &uploader->restart);
	if (r == 0)
		r = link_new(uploader->base, TAKE_FD(fd), uploader->broker, &link_ops, uploader,
			     &uploader->link);
	if (r < 0)
		return r;
	if (link_is_connected(uploader->link))
		on_connected(uploader);
	sinks_configure(uploader->sinks, uploader->config);
	if (uploader->is_child)
		hold_sinks(uploader, true);
	set_metrics_listen(uploader);
	return 0;
}

int uploader_new(const struct uploader_options *options, struct uploader **ret_uploader, char **ret_reason)
{
	const int keep[] = {options->fd, options->spool_fd};
	struct uploader *uploader = calloc(1, sizeof(*uploader));
	int r;

	*ret_reason = NULL;
	if (!uploader)
		return -ENOMEM;
	sandbox_close_descriptors(keep, ARRAY_SIZE(keep));
	uploader->upload_fd = uploader->inotify_fd = uploader->etc_watch = -1;
	uploader->spool_fd = options->spool_fd;
	/* Inherited without the flag; no process started from here may have them. */
	if (options->fd >= 0)
		(void)fcntl(options->fd, F_SETFD, FD_CLOEXEC);
	if (options->spool_fd >= 0)
		(void)fcntl(options->spool_fd, F_SETFD, FD_CLOEXEC);
	uploader->config_file = strdup(options->config_file);
	r = uploader->config_file ? start(uploader, options->fd, ret_reason) : -ENOMEM;
	if (r < 0) {
		uploader_free(uploader);
		return r;
	}
	*ret_uploader = uploader;
	return 0;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void uploader_free(struct uploader *uploader)
{
	if (!uploader)
		return;
	/* What the sinks report while they end no longer restarts anything. */
	restart_free(TAKE_PTR(uploader->restart));
	sinks_free(uploader->sinks);
	link_free(uploader->link);
	metrics_http_free(uploader->metrics);
	free(uploader->metrics_listen);
	curl_loop_free(uploader->curl);
	credentials_free(uploader->credentials);
	broker_free(uploader->broker);
	for (size_t i = 0; i < ARRAY_SIZE(uploader->signals); i++)
		free_event(uploader->signals[i]);
	free_event(uploader->spool_event);
	free_event(uploader->poll_timer);
	free_event(uploader->report_timer);
	free_event(uploader->flush_timer);
	if (uploader->base)
		event_base_free(uploader->base);
	safe_close(uploader->inotify_fd);
	safe_close(uploader->spool_fd);
	safe_close(uploader->upload_fd);
	config_unref(uploader->config);
	free(uploader->config_file);
	free(uploader);
}

int uploader_run(struct uploader *uploader)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t signals;
	int r;

	/* As a unit of its own. Otherwise the daemon notifies for both. */
	if (!uploader->is_child)
		broker_notify(uploader->broker, BROKER_NOTIFY_READY);
	r = event_base_dispatch(uploader->base) < 0 ? -EIO : restart_is_due(uploader->restart) ? 1 : 0;
	/* A second one must not cut the end short, which stores the cursors. */
	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (!uploader->is_child)
		broker_notify(uploader->broker, BROKER_NOTIFY_STOPPING);
	return r;
}
