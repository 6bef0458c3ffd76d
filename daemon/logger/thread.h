/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The logger as the loop sees it: each call posts a request to the logger's thread and returns at once; the
 * outcome arrives by callback on the loop. Requests run in the order of the calls.
 */

#include "daemon/logger/lists.h"
#include "daemon/logger/logger.h"

struct event_base;
struct logger_thread;
struct peer_samples;

struct logger_thread_result {
	int error;		  /* 0 or -errno */
	const char *layer;	  /* of a failed start: "tun", "sock"; else NULL */
	const char *reason;	  /* for people; may be NULL */
	struct logger_list *list; /* of logger_thread_list(): taken; NULL after an error */
};

/* Called on the loop. What the result points to is valid until it returns. */
typedef void (*logger_thread_done)(const struct logger_thread_result *result, void *userdata);

/* Makes the logger and starts its thread. 0 or -errno. */
int logger_thread_new(struct event_base *base, const struct logger_options *options,
		      struct logger_thread **ret_thread);
/* Runs what was posted before; does not stop the logger. */
void logger_thread_free(struct logger_thread *thread);

/*
 * Of all calls below: done may be NULL. 0, or -ENOMEM or -EAGAIN, and then done is not called. Device
 * configurations and lists are copied; nodes are taken, whatever the call returns; a struct config is
 * borrowed.
 */
/*
 * public_id: the log of the run's messages (zeros: the configured one). If *cancelled is set (atomically; it
 * must exist until done) before the request runs, nothing happens: -ECANCELED.
 */
int logger_thread_start(struct logger_thread *thread, const struct log_id *public_id,
			const struct device_config *tun, const struct device_config *sock,
			const bool *cancelled, logger_thread_done done, void *userdata);
/* A list for the control interface. done must not be NULL. */
int logger_thread_list(struct logger_thread *thread, enum logger_list_kind kind, logger_thread_done done,
		       void *userdata);
/* logger_start_anyway() */
int logger_thread_start_anyway(struct logger_thread *thread, logger_thread_done done, void *userdata);
/* Stops the logger, if it runs, and waits until its messages are on disk or writes fail. */
int logger_thread_stop(struct logger_thread *thread, logger_thread_done done, void *userdata);
int logger_thread_end_window(struct logger_thread *thread, logger_thread_done done, void *userdata);
/* The same as the last of all calls: waiting ones are cancelled, -ECANCELED. */
int logger_thread_stop_for_good(struct logger_thread *thread, logger_thread_done done, void *userdata);
/* Ends the window and waits until its messages are on disk. cancelled: as above. */
int logger_thread_flush(struct logger_thread *thread, const bool *cancelled, logger_thread_done done,
			void *userdata);
int logger_thread_reconfigure(struct logger_thread *thread, const struct route_lists *lists,
			      logger_thread_done done, void *userdata);
/* The configuration is borrowed until another one has replaced it (its done has been called). */
int logger_thread_apply(struct logger_thread *thread, const struct config *config, struct nodes *nodes,
			logger_thread_done done, void *userdata);
int logger_thread_set_nodes(struct logger_thread *thread, struct nodes *nodes, logger_thread_done done,
			    void *userdata);
/* A check that waits already serves this call, too. */
int logger_thread_check_devices(struct logger_thread *thread);
/* Whom to call on the loop after each check: devices may have come or gone. */
void logger_thread_on_checked(struct logger_thread *thread, void (*checked)(void *userdata), void *userdata);
/* Logs a text message with its event (daemon/logger/events.h), which is taken, whatever the call returns;
 * told (may be NULL) is called once the spool has taken it. 0 or -errno. */
int logger_thread_tell(struct logger_thread *thread, const char *text, json_t *event, logger_thread_done told,
		       void *userdata);

/* Whether a window's end is waiting or under way; another one would only queue up behind it. */
bool logger_thread_window_pending(const struct logger_thread *thread);

/* As logger_status() and logger_peer_samples(); new references. */
json_t *logger_thread_status(struct logger_thread *thread);
struct peer_samples *logger_thread_peer_samples(struct logger_thread *thread);
