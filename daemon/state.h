/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The daemon's state, all of it, and the questions that several of its files ask of it. */

#include "common/config/config.h"
#include "common/log_id.h"
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
struct flush;
struct link_monitor;
struct varlink_server;
struct worker;

#define DEADLINE_DEFAULT_MS 5000
#define DEADLINE_MAX_MS	    INT64_C(86400000)

/*
 * Priorities of the loop. Windows and the threads' results come first; then devices, the uploader and
 * operators; then clients that may only look.
 */
enum loop_priority {
	PRIORITY_WINDOW,
	PRIORITY_NORMAL, /* libevent's default among three */
	PRIORITY_OTHERS,
	N_PRIORITIES,
};

/* An answer to clients that may only look, shared by all that ask within a second. */
struct made_text {
	char *text; /* JSON: the reply's parameters */
	size_t length;
	int64_t made_at; /* boot time; 0: none, or out of date */
};

/* Users who may control the daemon, beside root and its own. */
struct operators {
	uid_t *uids; /* owned */
	size_t n;
};

/* A call of Start that is answered once the uploader has named the log ID. */
struct start_wait;

/* What was told of the spool so far (spool_log.h). */
struct spool_log {
	int error; /* as it was last logged */
	uint64_t undelivered, vanished_segments, vanished_messages, vanished_undelivered;
	int64_t undelivered_at; /* boot time of the last line about it */
	bool told_cap;		/* that the cap removes what is delivered, or what no sink waits for */
	bool loss_told;		/* a text message tells a loss, */
	uint64_t loss_ticket;	/* and is safe once the spool has settled so much */
};

struct daemon {
	struct event_base *base;
	struct config *config;
	bool external_uploader;
	int lock_fd;
	int64_t started; /* wall */
	int64_t configuration_read;
	char *configuration_error; /* of the last reload; NULL: it succeeded */

	struct epoch *epoch; /* NULL: no eBPF here */
	struct spool_writer *spool;
	struct spool_events *spool_events;
	struct spool_log spool_log;
	struct logger_thread *logger;
	struct uploader_link *uploader;
	struct uploader_process *uploader_process;
	struct varlink_server *control;
	int control_fd; /* bound; served once the devices count or are known to wait */
	bool control_bound;
	char *upload_socket; /* NULL: none is bound */
	struct tail *tail;
	size_t n_answering; /* lists that are being sent */
	struct link_monitor *links;
	struct worker *aside; /* for what takes long and is not the logger's: files, users, large lists */

	struct event *window_timer; /* on a timer of the boot-time clock */
	int window_timer_fd;
	struct event *heartbeat_timer;
	struct event *signals[3];
	struct event *ready_timer;
	bool ready;
	char notified[512]; /* the last status sent to the service manager */
	bool textfile_pending;
	int textfile_error; /* of the last write, so that a lasting error is logged once */

	bool running;		  /* as far as the loop knows: a start has succeeded or is under way */
	unsigned int run_changes; /* Starts and Stops that were accepted */
	bool stopping;		  /* for good: no start and no change any more */
	int64_t stopping_since;	  /* boot time */
	bool has_log_id;	  /* Start named one */
	struct log_id public_id;
	bool has_domain_id; /* likewise */
	struct log_id domain_public_id;
	struct operators operators;
	bool operators_known; /* they have been looked up, if only in vain */
	LIST_HEAD(, start_wait) start_waits;
	LIST_HEAD(, flush) flushes;
	struct made_text status_text, metrics_text;
	size_t n_pending; /* calls that wait for the logger's thread or for deliveries */
};

/* The public log ID that the logger runs for, as text; "" while the uploader has not named it. */
void daemon_public_id(const struct daemon *daemon, char ret_text[static LOG_ID_TEXT_MAX]);
/* Tells the service manager what is running, if that has changed. */
void daemon_notify_status(struct daemon *daemon);
