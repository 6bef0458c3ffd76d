/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the daemon's own files share: its state, all of it, and the calls between them. */

#include "common/config/config.h"
#include "common/log_id.h"
#include "daemon/daemon.h"
#include "daemon/logger/thread.h"
#include "daemon/spool/events.h"
#include "daemon/spool/writer.h"
#include "daemon/supervisor/link.h"
#include "daemon/supervisor/process.h"
#include "daemon/tail.h"

#include <sys/queue.h>
#include <sys/types.h>

struct epoch;
struct event;
struct event_base;
struct link_monitor;
struct varlink_server;

#define DEADLINE_DEFAULT_MS 5000
#define DEADLINE_MAX_MS	    INT64_C(86400000)

/*
 * Priorities of the loop. Windows, and what the threads have to say, wait for nothing; then devices, the
 * uploader and operators; then clients that may only look.
 */
enum loop_priority {
	PRIORITY_WINDOW,
	PRIORITY_NORMAL, /* libevent's default among three */
	PRIORITY_OTHERS,
	N_PRIORITIES,
};

/* An answer to clients that may only look, made for all who ask within a second. */
struct made_text {
	char *text; /* JSON: the reply's parameters */
	size_t length;
	int64_t made_at; /* boot time; 0: not, or no longer true */
};

/* A call of Start that is answered once the uploader has named the log ID. */
struct start_wait;

struct daemon {
	struct event_base *base;
	struct config *config;
	bool external_uploader;
	int lock_fd;
	int64_t started; /* wall */
	int64_t configuration_read;
	char *configuration_error; /* of the last reload; NULL: it went well */

	struct epoch *epoch; /* NULL: no eBPF here */
	struct spool_writer *spool;
	struct spool_events *spool_events;
	bool loss_told; /* and a note of an earlier run with it, which may go when that is stored */
	struct logger_thread *logger;
	struct uploader_link *uploader;
	struct uploader_process *uploader_process;
	struct varlink_server *control;
	int control_fd; /* bound, not served before the devices count or are known to wait */
	bool control_bound;
	char *upload_socket; /* NULL: none is bound */
	struct tail *tail;
	struct link_monitor *links;

	struct event *window_timer; /* on a timer of the boot-time clock */
	int window_timer_fd;
	struct event *heartbeat_timer;
	struct event *signals[3];
	struct event *ready_timer;
	bool ready;
	const char *notified; /* the last status that the service manager was told */
	int textfile_error;   /* of the last write, so that a lasting one is logged once */

	bool running;		  /* as far as the loop knows: a start has succeeded, or is under way */
	unsigned int run_changes; /* Starts and Stops that were accepted */
	bool stopping;
	int64_t stopping_since; /* boot time */
	bool has_log_id;	/* Start named one */
	struct log_id public_id;
	bool has_domain_id; /* likewise */
	struct log_id domain_public_id;
	uid_t *operators;
	size_t n_operators;
	LIST_HEAD(, start_wait) start_waits;
	struct made_text status_text, metrics_text;
	size_t n_pending; /* calls that wait for the logger's thread or for deliveries */
};

/* daemon.c: the public log ID that the logger runs for, as text; "" while the uploader has not named it. */
void daemon_public_id(const struct daemon *daemon, char ret_text[static LOG_ID_TEXT_MAX]);
/* daemon.c: makes the timers follow the configuration; the window that has just begun is a whole one. */
int daemon_set_period(struct daemon *daemon);
/* daemon.c: what is running and what not, to the service manager. */
void daemon_notify_status(struct daemon *daemon);

/* daemon.c: what at least one sink still lacks, by what the uploader says and what only the spool knows. */
void daemon_what_remains(const struct daemon *daemon, const struct uploader_pending *said,
			 uint64_t *ret_messages, uint64_t *ret_bytes);

/* daemon_paths.c: makes what is missing, and locks the state directory (daemon->lock_fd). 0, -EWOULDBLOCK
 * when another daemon has it, or another -errno; logged. */
int daemon_prepare_directories(struct daemon *daemon);
/* daemon_paths.c: binds the control socket (daemon->control_fd); nobody is served yet. 0 or
 * -errno; logged. */
int daemon_open_control_socket(struct daemon *daemon);
/* daemon_paths.c: serves an uploader that comes by itself, on upload.sock beside the control socket. 0 or
 * -errno; logged. */
int daemon_open_upload_socket(struct daemon *daemon);
/* daemon_paths.c: removes the paths of both sockets, where they were bound. */
void daemon_remove_sockets(struct daemon *daemon);

/* control_methods.c: adds the interface to daemon->control. 0 or -errno. */
int methods_add(struct daemon *daemon);
/* control_methods.c: the uploader has named the log ID: answers the calls of Start that wait for it. */
void methods_identified(struct daemon *daemon);
/* control_methods.c: what was said of the daemon's state is no longer true for anybody. */
void methods_changed(struct daemon *daemon);
/* control_methods.c: lets go of the calls that wait. */
void methods_free(struct daemon *daemon);

/* reload.c: what came of it; file and reason are owned by error. */
typedef void (*reload_done)(const struct config_error *error, void *userdata);
/* Reads the configuration again and puts it to use. The callback comes once, perhaps before this returns. */
void daemon_reload(struct daemon *daemon, reload_done done, void *userdata);
/* Resolves the names of the operators. 0 or -ENOMEM; an unknown user is logged and left out. */
int daemon_set_operators(struct daemon *daemon, const struct config *config);
/* The spool's settings as the configuration has them. Borrows from both. */
void daemon_spool_options(const struct daemon *daemon, const struct config *config, char **sinks,
			  struct spool_writer_options *ret_options);
/* Names of the sinks; NULL-terminated, borrowed texts, to be freed with free(). NULL without memory. */
char **daemon_sink_names(const struct config *config);

/* status.c: a new object: the Status of the control interface; with the lists of nodes and routes, or only
 * how many there are. */
json_t *daemon_status(struct daemon *daemon, bool lists);
/* metrics.c: Prometheus text; owned by the caller, NULL without memory. */
char *daemon_metrics(struct daemon *daemon);
/* metrics.c: hands the text to whoever is configured to get it. */
void daemon_publish_metrics(struct daemon *daemon);
