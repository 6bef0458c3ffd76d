/* SPDX-License-Identifier: BSD-3-Clause */
/* Each sink has a timer on the loop for its turns, and holds the configuration that it was made from. */

#include "daemon/upload/sinks.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/owner.h"
#include "common/spool/cursor.h"
#include "common/time_text.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/sink/sink.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
	struct sinks *sinks;
	struct config_ref *config;
	struct sink *sink;
	struct event *timer;
};

struct sinks {
	struct sinks_options options;
	struct entry **entries;
	size_t n;
	size_t max;		 /* that the list has room for */
	struct entry **reserved; /* the next list, empty */
	size_t n_reserved;
};

struct config_ref *config_ref(struct config_ref *config)
{
	config->n_refs++;
	return config;
}

void config_unref(struct config_ref *config)
{
	if (!config || --config->n_refs > 0)
		return;
	config_free(config->config);
	free(config);
}

/* ---- one sink ---- */

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct entry *entry = userdata;
	const struct sinks_options *options = &entry->sinks->options;

	(void)fd;
	(void)what;
	sink_run(entry->sink);
	options->ops->ran(options->userdata);
}

static void wake_at(struct sink *sink, int64_t boot, void *userdata)
{
	struct entry *entry = userdata;
	int64_t delay = MAX(boot - time_now_boot(), INT64_C(0));
	struct timeval timeout = {
		.tv_sec = delay / NSEC_PER_SEC,
		.tv_usec = (delay % NSEC_PER_SEC + NSEC_PER_USEC - 1) / NSEC_PER_USEC,
	};

	(void)sink;
	if (timeout.tv_usec >= 1000000) {
		timeout.tv_sec++;
		timeout.tv_usec -= 1000000;
	}
	evtimer_add(entry->timer, &timeout);
}

static void changed(struct sink *sink, void *userdata)
{
	struct entry *entry = userdata;
	const struct sinks_options *options = &entry->sinks->options;

	(void)sink;
	options->ops->changed(options->userdata);
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	sink_free(entry->sink);
	if (entry->timer)
		event_free(entry->timer);
	config_unref(entry->config);
	free(entry);
}
DEFINE_CLEANUP(struct entry *, entry_free);

static int entry_new(struct sinks *sinks, struct config_ref *config, const struct sink_config *sink_config,
		     struct entry **ret_entry)
{
	static const struct sink_ops *const kinds[] = {
		[SINK_TYPE_LOGTAIL] = &sink_logtail_ops,
		[SINK_TYPE_CLICKHOUSE] = &sink_clickhouse_ops,
		[SINK_TYPE_FILE] = &sink_file_ops,
	};
	static const struct sink_host_ops host = {.wake_at = wake_at, .changed = changed};
	_cleanup_(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));
	struct sink_options options = {
		.ops = kinds[sink_config->type],
		.context =
			{
				.config = sink_config,
				.clock = &clock_system,
				.credentials = sinks->options.credentials,
				.broker = sinks->options.broker,
				.base = sinks->options.base,
				.curl = sinks->options.curl,
				.node_id = config->config->node_id,
				.spool_max_size = config->config->spool_max_size,
				.quarantine_max = config->config->spool_max_size,
			},
		.upload_fd = sinks->options.upload_fd,
		.spool_fd = sinks->options.spool_fd,
		.host = &host,
		.host_userdata = entry,
	};
	int r;

	if (!entry)
		return -ENOMEM;
	if (!options.ops)
		return -EOPNOTSUPP;
	entry->sinks = sinks;
	entry->config = config_ref(config);
	entry->timer = evtimer_new(sinks->options.base, on_timer, entry);
	if (!entry->timer)
		return -ENOMEM;
	r = sink_new(&options, &entry->sink);
	if (r < 0)
		return r;
	wake_at(entry->sink, 0, entry);
	*ret_entry = TAKE_PTR(entry);
	return 0;
}

/* ---- all of them ---- */

static const struct sink_config *find_config(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_sinks; i++)
		if (strcmp(config->sinks[i].name, name) == 0)
			return &config->sinks[i];
	return NULL;
}

static int keep_regular(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Empties a directory, and those below it to this depth. */
static void empty_directory(int parent_fd, const char *name, int depth)
{
	_cleanup_close_ int fd = open_directory_at(parent_fd, name);
	struct dirent **entries = NULL;
	int n = fd < 0 ? -1 : scandirat(fd, ".", &entries, keep_regular, NULL);

	for (int i = 0; i < n; i++) {
		if (unlinkat(fd, entries[i]->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM) &&
		    depth > 0) {
			empty_directory(fd, entries[i]->d_name, depth - 1);
			(void)unlinkat(fd, entries[i]->d_name, AT_REMOVEDIR);
		}
		free(entries[i]);
	}
	free(entries);
}

/* Removes the state of sinks that are no longer configured; a directory with a cursor is a sink's. */
static void remove_unconfigured(int upload_fd, const struct config *config)
{
	struct dirent **entries = NULL;
	int n = scandirat(upload_fd, ".", &entries, keep_regular, NULL);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char cursor[NAME_MAX + sizeof("/cursor")];

		snprintf(cursor, sizeof(cursor), "%s/cursor", name);
		if (!find_config(config, name) &&
		    faccessat(upload_fd, cursor, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			log_info("sink %s: no longer configured; removing its state", name);
			/* The cursor goes first, so that the rest is never taken for a sink's. */
			(void)unlinkat(upload_fd, cursor, 0);
			empty_directory(upload_fd, name, 1);
			(void)unlinkat(upload_fd, name, AT_REMOVEDIR);
		}
		free(entries[i]);
	}
	free(entries);
}

/* The place of the running sink of that name in the list; NULL if there is none. */
static struct entry **find_running(const struct sinks *sinks, const char *name)
{
	for (size_t i = 0; i < sinks->n; i++)
		if (sinks->entries[i] && strcmp(sink_get_config(sinks->entries[i]->sink)->name, name) == 0)
			return &sinks->entries[i];
	return NULL;
}

/* Whether a running sink is what the configuration wants. */
static bool is_same(const struct entry *entry, const struct config *config, const struct sink_config *wanted)
{
	const struct config *old = entry->config->config;
	const char *old_id = old->node_id ? old->node_id : "";
	const char *new_id = config->node_id ? config->node_id : "";

	return sink_config_equal(sink_get_config(entry->sink), wanted) && strcmp(old_id, new_id) == 0 &&
	       old->spool_max_size == config->spool_max_size;
}

static void free_entries(struct sinks *sinks)
{
	for (size_t i = 0; i < sinks->n; i++)
		entry_free(sinks->entries[i]);
	free(sinks->entries);
}

int sinks_reserve(struct sinks *sinks, size_t n)
{
	struct entry **reserved = calloc(n + 1, sizeof(*reserved));

	if (!reserved)
		return -ENOMEM;
	free(sinks->reserved);
	sinks->reserved = reserved;
	sinks->n_reserved = n;
	return 0;
}

/* Nearly always it is the sink's directory. */
static void tell_not_started(const struct config *config, const struct sink_config *sink, int error)
{
	_cleanup_free_ char *path = NULL, *reason = NULL;

	if (asprintf(&path, "%s/%s/" CURSOR_NAME, config->upload_directory, sink->name) < 0)
		path = NULL;
	reason = path ? owner_error_text(path, error) : NULL;
	log_error("sink %s: cannot start: %s; trying again", sink->name, reason ? reason : strerror(-error));
}

void sinks_configure(struct sinks *sinks, struct config_ref *config)
{
	struct entry **entries = TAKE_PTR(sinks->reserved);
	size_t n = config->config->n_sinks, made = 0;

	assert(entries && n <= sinks->n_reserved);
	for (size_t i = 0; i < n; i++) {
		const struct sink_config *wanted = &config->config->sinks[i];
		struct entry **running = find_running(sinks, wanted->name);
		struct entry *entry = running ? TAKE_PTR(*running) : NULL;
		int r = 0;

		if (entry && is_same(entry, config->config, wanted)) {
			sink_reopen(entry->sink);
			sink_retry(entry->sink);
		} else {
			entry_free(entry);
			r = entry_new(sinks, config, wanted, &entry);
		}
		if (r < 0)
			tell_not_started(config->config, wanted, r);
		else
			entries[made++] = entry;
	}
	free_entries(sinks);
	sinks->entries = entries;
	sinks->n = made;
	sinks->max = n;
	remove_unconfigured(sinks->options.upload_fd, config->config);
}

void sinks_start_missing(struct sinks *sinks, struct config_ref *config)
{
	const struct sink_config *wanted = config->config->sinks;

	/* The list has room for all of the configuration that it was made for. */
	for (size_t i = 0; i < config->config->n_sinks && sinks->n < sinks->max; i++) {
		struct entry *entry;

		if (!find_running(sinks, wanted[i].name) &&
		    entry_new(sinks, config, &wanted[i], &entry) >= 0) {
			log_info("sink %s: started on retry", wanted[i].name);
			sinks->entries[sinks->n++] = entry;
		}
	}
}

size_t sinks_count(const struct sinks *sinks)
{
	return sinks->n;
}

struct sink *sinks_get(const struct sinks *sinks, size_t index)
{
	return sinks->entries[index]->sink;
}

int sinks_new(const struct sinks_options *options, struct sinks **ret_sinks)
{
	struct sinks *sinks = calloc(1, sizeof(*sinks));

	if (!sinks)
		return -ENOMEM;
	sinks->options = *options;
	*ret_sinks = sinks;
	return 0;
}

void sinks_free(struct sinks *sinks)
{
	if (!sinks)
		return;
	free_entries(sinks);
	free(sinks->reserved);
	free(sinks);
}
