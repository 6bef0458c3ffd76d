#pragma once

/*
 * The logger on its thread, as the loop sees it: each call posts a job and returns at once; its outcome comes
 * by callback on the loop. Jobs run in the order of the calls.
 */

#include "daemon/logger.h"

struct event_base;
struct recorder;

struct recorder_result {
	int error;	    /* 0 or -errno */
	const char *layer;  /* of a failed start: "tun", "sock"; else NULL */
	const char *reason; /* for people; may be NULL */
};

/* Called on the loop. What the result points to is valid until it returns. */
typedef void (*recorder_done)(const struct recorder_result *result, void *userdata);

/* Makes the logger and starts its thread. 0 or -errno. */
int recorder_new(struct event_base *base, const struct logger_options *options,
		 struct recorder **ret_recorder);
/* Runs what was posted before, without a stop of its own. */
void recorder_free(struct recorder *recorder);

/*
 * Of all calls below: done may be NULL. 0, or -ENOMEM or -EAGAIN, and then done is not called. Device
 * configurations and lists are copied; nodes pass over with the call, whatever it returns.
 */
/*
 * public_id: whose log the run's messages are (zeros: the configured one), from the first on. If *cancelled
 * is set (atomically; it lives until done) before the job's turn comes, nothing is done: -ECANCELED.
 */
int recorder_start(struct recorder *recorder, const struct log_id *public_id, const struct device_config *tun,
		   const struct device_config *sock, const bool *cancelled, recorder_done done,
		   void *userdata);
/* logger_start_anyway() */
int recorder_start_anyway(struct recorder *recorder, recorder_done done, void *userdata);
/* Stops the logger (nothing if it is stopped) and waits until its messages are on disk, or the
 * disk refuses. */
int recorder_stop(struct recorder *recorder, recorder_done done, void *userdata);
int recorder_end_window(struct recorder *recorder, recorder_done done, void *userdata);
/* The same as the last call of all: those that wait are given up, -ECANCELED. */
int recorder_stop_for_good(struct recorder *recorder, recorder_done done, void *userdata);
/* Ends the window and waits until its messages are on disk. cancelled: as for a start. */
int recorder_flush(struct recorder *recorder, const bool *cancelled, recorder_done done, void *userdata);
int recorder_reconfigure(struct recorder *recorder, const struct route_lists *lists, recorder_done done,
			 void *userdata);
/* The configuration is borrowed until another takes its place (its done has been called). */
int recorder_apply(struct recorder *recorder, const struct config *config, struct nodes *nodes,
		   recorder_done done, void *userdata);
int recorder_set_nodes(struct recorder *recorder, struct nodes *nodes, recorder_done done, void *userdata);
/* One that waits already serves for this call too. */
int recorder_check_devices(struct recorder *recorder);
int recorder_tell(struct recorder *recorder, const char *text);

/* Whether a window's end is on its way, so that another one would only queue up behind it. */
bool recorder_window_pending(const struct recorder *recorder);

/* As logger_status() and logger_nodes(); new references. */
json_t *recorder_status(struct recorder *recorder);
json_t *recorder_nodes(struct recorder *recorder);
