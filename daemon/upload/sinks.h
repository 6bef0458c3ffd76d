/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sinks that the configuration names: started, kept and removed as it changes. */

#include "common/config/config.h"

#include <stddef.h>
#include <stdint.h>

struct broker;
struct credentials;
struct curl_loop;
struct event_base;
struct sink;
struct sinks;

/* A configuration in use: by the uploader and by each sink that was made from it. */
struct config_ref {
	struct config *config;
	unsigned int n_refs;
};

struct config_ref *config_ref(struct config_ref *config);
void config_unref(struct config_ref *config);

struct sinks_ops {
	/* A sink's status has changed. */
	void (*changed)(void *userdata);
	/* A sink has had its turn: it may be settled now. */
	void (*ran)(void *userdata);
};

/* All borrowed; must outlive the sinks. */
struct sinks_options {
	struct event_base *base;
	const struct credentials *credentials;
	struct broker *broker;
	struct curl_loop *curl;
	int upload_fd;
	const int *spool_fd; /* -1 as long as the spool does not exist */
	const struct sinks_ops *ops;
	void *userdata;
};

/* Without any sink. 0 or -ENOMEM. */
int sinks_new(const struct sinks_options *options, struct sinks **ret_sinks);
void sinks_free(struct sinks *sinks);

/* Makes room for this many, so that sinks_configure() cannot fail. 0 or -ENOMEM, with nothing changed. */
int sinks_reserve(struct sinks *sinks, size_t n);
/*
 * Makes the sinks those of a configuration, for which room has been made: unchanged ones keep running,
 * changed ones restart from their cursors, and the state of those that are gone is removed. A sink that
 * cannot start is logged.
 */
void sinks_configure(struct sinks *sinks, struct config_ref *config);
/* Tries again to start those of the configuration that could not start (a full disk, no descriptors). */
void sinks_start_missing(struct sinks *sinks, struct config_ref *config);

size_t sinks_count(const struct sinks *sinks);
/* index: below sinks_count(). */
struct sink *sinks_get(const struct sinks *sinks, size_t index);
