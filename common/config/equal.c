/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reload needs to know of two configurations: what differs. */

#include "common/config/config.h"
#include "common/parse.h"

#include <string.h>

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool device_config_equal(const struct device_config *a, const struct device_config *b)
{
	return a->source == b->source && text_equal(a->interface, b->interface) &&
	       text_equal(a->stats_socket, b->stats_socket);
}

bool route_lists_equal(const struct route_lists *a, const struct route_lists *b)
{
	return prefix_list_equal(&a->local_addrs, &b->local_addrs) &&
	       prefix_list_equal(&a->routes, &b->routes) &&
	       prefix_list_equal(&a->subnet_routes, &b->subnet_routes);
}

bool sink_config_equal(const struct sink_config *a, const struct sink_config *b)
{
	return text_equal(a->name, b->name) && a->type == b->type && text_equal(a->url, b->url) &&
	       text_equal(a->collection, b->collection) && text_equal(a->database, b->database) &&
	       text_equal(a->table, b->table) && text_equal(a->path, b->path) &&
	       a->compression == b->compression && a->max_batch_size == b->max_batch_size &&
	       a->max_rows == b->max_rows && a->flush_interval == b->flush_interval &&
	       a->rate_limit == b->rate_limit && a->timeout == b->timeout &&
	       strv_equal(a->headers, b->headers) && text_equal(a->bearer_token_file, b->bearer_token_file) &&
	       text_equal(a->user, b->user) && text_equal(a->password_file, b->password_file) &&
	       text_equal(a->ca_file, b->ca_file) && text_equal(a->cert_file, b->cert_file) &&
	       text_equal(a->key_file, b->key_file) && strv_equal(a->settings, b->settings);
}

const char *config_restart_needed(const struct config *running, const struct config *wanted)
{
	if (!text_equal(running->state_directory, wanted->state_directory))
		return "[netlogd] state-directory";
	if (!text_equal(running->upload_directory, wanted->upload_directory))
		return "[netlogd] upload-directory";
	if (!text_equal(running->spool_directory, wanted->spool_directory))
		return "[spool] directory";
	if (!text_equal(running->control_socket, wanted->control_socket))
		return "[netlogd] control-socket";
	if (!text_equal(running->control_group, wanted->control_group))
		return "[netlogd] control-group";
	return NULL;
}
