/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The inside of the uploader, for the files that make it up. */

#include "common/config/config.h"
#include "daemon/upload/uploader.h"

#include <stddef.h>
#include <stdint.h>

#define UPLOADER_FLUSHES_MAX 64

struct broker;
struct credentials;
struct curl_loop;
struct event;
struct event_base;
struct link;
struct metrics_http;
struct sink;
struct sink_ops;

/* A configuration that is in use: by the uploader and by each sink that was made from it. */
struct config_ref {
	struct config *config;
	unsigned int n_refs;
};

struct uploader_sink {
	struct uploader *uploader;
	struct config_ref *config;
	struct sink *sink;
	struct event *timer;
};

struct uploader_flush {
	int64_t id;
	int64_t deadline; /* boot time */
};

struct uploader {
	char *config_file;
	struct event_base *base;
	struct config_ref *config;
	int upload_fd;
	int spool_fd;	 /* or what stands for it; -1: not there yet */
	int spool_error; /* of the last try to open it */
	int inotify_fd;
	bool spool_watched;
	int etc_watch;		 /* -1: none */
	unsigned int unreadable; /* files of /etc: landlock_unreadable_files() at the start */
	struct curl_loop *curl;
	struct broker *broker;
	struct credentials *credentials;
	struct link *link;
	struct metrics_http *metrics;
	char *metrics_listen; /* as it is in use */
	int metrics_error;    /* of the last try to listen */
	bool is_child;	      /* ends when the collector does */
	bool running;

	struct uploader_sink **sinks;
	size_t n_sinks;
	size_t max_sinks; /* that the list has room for */

	struct uploader_flush flushes[UPLOADER_FLUSHES_MAX];
	size_t n_flushes;

	struct event *signals[3];
	struct event *spool_event; /* inotify */
	struct event *poll_timer;  /* looks at the spool now and then, whatever else tells of it */
	struct event *report_timer;
	struct event *flush_timer;
	int64_t last_report;
};

/*
 * The sinks as the configuration has them: those that are unchanged go on, the others are made anew from
 * their cursors, and those that are gone are forgotten. 0 or -errno; one that can't be made is logged.
 */
int uploader_set_sinks(struct uploader *uploader, struct config_ref *config);
/* Tries again to start the sinks that could not be (a full disk, no descriptors). */
void uploader_start_missing(struct uploader *uploader);
void uploader_free_sinks(struct uploader *uploader);

struct config_ref *config_ref(struct config_ref *config);
void config_unref(struct config_ref *config);

/* Something about the sinks has changed: tell the collector soon, and see to flushes. */
void uploader_changed(struct uploader *uploader);
