/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sinks there are: made, kept and forgotten as the configuration says. */

#include "daemon/upload/uploader_internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/sink/sink.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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

static const struct sink_ops *find_ops(enum sink_type type)
{
	static const struct sink_ops *const all[] = {
		&sink_logtail_ops,
		&sink_file_ops,
		&sink_clickhouse_ops,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->type == type)
			return all[i];
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct uploader_sink *entry = userdata;

	(void)fd;
	(void)what;
	sink_run(entry->sink);
	if (entry->uploader->n_flushes > 0)
		uploader_changed(entry->uploader);
}

static void wake_at(struct sink *sink, int64_t boot, void *userdata)
{
	struct uploader_sink *entry = userdata;
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
	struct uploader_sink *entry = userdata;

	(void)sink;
	uploader_changed(entry->uploader);
}

static const struct sink_host_ops host_ops = {.wake_at = wake_at, .changed = changed};

static void sink_entry_free(struct uploader_sink *entry)
{
	if (!entry)
		return;
	sink_free(entry->sink);
	if (entry->timer)
		event_free(entry->timer);
	config_unref(entry->config);
	free(entry);
}
DEFINE_CLEANUP(struct uploader_sink *, sink_entry_free);

static int sink_entry_new(struct uploader *uploader, struct config_ref *config,
			  const struct sink_config *sink_config, struct uploader_sink **ret_entry)
{
	_cleanup_(sink_entry_freep) struct uploader_sink *entry = calloc(1, sizeof(*entry));
	struct sink_options options = {
		.ops = find_ops(sink_config->type),
		.context =
			{
				.config = sink_config,
				.clock = &clock_system,
				.credentials = uploader->credentials,
				.broker = uploader->broker,
				.base = uploader->base,
				.curl = uploader->curl,
				.node_id = config->config->node_id,
				.quarantine_max = config->config->spool_max_size,
			},
		.upload_fd = uploader->upload_fd,
		.spool_fd = &uploader->spool_fd,
		.host = &host_ops,
		.host_userdata = entry,
	};
	int r;

	if (!entry)
		return -ENOMEM;
	if (!options.ops)
		return -EOPNOTSUPP;
	entry->uploader = uploader;
	entry->config = config_ref(config);
	entry->timer = evtimer_new(uploader->base, on_timer, entry);
	if (!entry->timer)
		return -ENOMEM;
	r = sink_new(&options, &entry->sink);
	if (r < 0)
		return r;
	wake_at(entry->sink, 0, entry);
	*ret_entry = TAKE_PTR(entry);
	return 0;
}

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

/* Removes what is in a directory, and below it to this depth. */
static void empty_directory(int parent_fd, const char *name, int depth)
{
	_cleanup_close_ int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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

/* A sink that is no longer configured is forgotten; what makes a directory a sink's is its cursor. */
static void forget_removed(struct uploader *uploader, const struct config *config)
{
	struct dirent **entries = NULL;
	int n = scandirat(uploader->upload_fd, ".", &entries, keep_regular, NULL);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char cursor[NAME_MAX + sizeof("/cursor")];

		snprintf(cursor, sizeof(cursor), "%s/cursor", name);
		if (!find_config(config, name) &&
		    faccessat(uploader->upload_fd, cursor, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			log_info("sink %s is no longer configured and is forgotten", name);
			/* The cursor goes first, so that half of it is never taken for a sink's. */
			(void)unlinkat(uploader->upload_fd, cursor, 0);
			empty_directory(uploader->upload_fd, name, 1);
			(void)unlinkat(uploader->upload_fd, name, AT_REMOVEDIR);
		}
		free(entries[i]);
	}
	free(entries);
}

/* Takes the running sink of that name out of the list. */
static struct uploader_sink *take_running(struct uploader *uploader, const char *name)
{
	for (size_t i = 0; i < uploader->n_sinks; i++)
		if (uploader->sinks[i] && strcmp(sink_get_config(uploader->sinks[i]->sink)->name, name) == 0)
			return TAKE_PTR(uploader->sinks[i]);
	return NULL;
}

static bool is_running(const struct uploader *uploader, const char *name)
{
	for (size_t i = 0; i < uploader->n_sinks; i++)
		if (strcmp(sink_get_config(uploader->sinks[i]->sink)->name, name) == 0)
			return true;
	return false;
}

static bool is_same(const struct uploader_sink *entry, const struct config_ref *config,
		    const struct sink_config *wanted)
{
	const struct config *old = entry->config->config, *new = config->config;
	const char *old_id = old->node_id ? old->node_id : "", *new_id = new->node_id ? new->node_id : "";

	return sink_config_equal(sink_get_config(entry->sink), wanted) && strcmp(old_id, new_id) == 0 &&
	       old->spool_max_size == new->spool_max_size;
}

int uploader_set_sinks(struct uploader *uploader, struct config_ref *config)
{
	size_t n = config->config->n_sinks, made = 0;
	struct uploader_sink **sinks = calloc(n + 1, sizeof(struct uploader_sink *));

	if (!sinks)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct sink_config *wanted = &config->config->sinks[i];
		struct uploader_sink *entry = take_running(uploader, wanted->name);
		int r = 0;

		if (entry && is_same(entry, config, wanted)) {
			sink_reopen(entry->sink);
			sink_retry(entry->sink);
		} else {
			sink_entry_free(TAKE_PTR(entry));
			r = sink_entry_new(uploader, config, wanted, &entry);
		}
		if (r < 0)
			log_error("sink %s can't be started: %s", wanted->name, strerror(-r));
		else
			sinks[made++] = entry;
	}
	uploader_free_sinks(uploader);
	uploader->sinks = sinks;
	uploader->n_sinks = made;
	uploader->max_sinks = n;
	forget_removed(uploader, config->config);
	return 0;
}

void uploader_start_missing(struct uploader *uploader)
{
	const struct config *config = uploader->config->config;

	/* The list has room for all of the configuration that it was made for. */
	for (size_t i = 0; i < config->n_sinks && uploader->n_sinks < uploader->max_sinks; i++) {
		struct uploader_sink *entry;

		if (!is_running(uploader, config->sinks[i].name) &&
		    sink_entry_new(uploader, uploader->config, &config->sinks[i], &entry) >= 0) {
			log_info("sink %s has started after all", config->sinks[i].name);
			uploader->sinks[uploader->n_sinks++] = entry;
		}
	}
}

void uploader_free_sinks(struct uploader *uploader)
{
	for (size_t i = 0; i < uploader->n_sinks; i++)
		sink_entry_free(uploader->sinks[i]);
	free(TAKE_PTR(uploader->sinks));
	uploader->n_sinks = uploader->max_sinks = 0;
}
