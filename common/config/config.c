/* SPDX-License-Identifier: BSD-3-Clause */
/* The finished configuration: copied, released, and compared for a reload. */

#include "common/config/config.h"

#include "common/parse.h"

#include <string.h>

int route_lists_copy(const struct route_lists *lists, struct route_lists *ret_lists)
{
	struct route_lists copy = {};
	int r;

	r = prefix_list_copy(&lists->local_addrs, &copy.local_addrs);
	if (r == 0)
		r = prefix_list_copy(&lists->routes, &copy.routes);
	if (r == 0)
		r = prefix_list_copy(&lists->subnet_routes, &copy.subnet_routes);
	if (r < 0) {
		route_lists_deinit(&copy);
		return r;
	}
	*ret_lists = copy;
	return 0;
}

void route_lists_deinit(struct route_lists *lists)
{
	prefix_list_deinit(&lists->local_addrs);
	prefix_list_deinit(&lists->routes);
	prefix_list_deinit(&lists->subnet_routes);
}

static void device_config_deinit(struct device_config *device)
{
	free(device->interface);
	free(device->stats_socket);
}

static void sink_config_deinit(struct sink_config *sink)
{
	free(sink->name);
	free(sink->url);
	free(sink->collection);
	free(sink->database);
	free(sink->table);
	free(sink->path);
	strv_free(sink->headers);
	free(sink->bearer_token_file);
	free(sink->user);
	free(sink->password_file);
	free(sink->ca_file);
	free(sink->cert_file);
	free(sink->key_file);
	strv_free(sink->settings);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->file);
	free(config->state_directory);
	free(config->upload_directory);
	free(config->control_socket);
	free(config->control_group);
	strv_free(config->operators);
	free(config->metrics_listen);
	free(config->metrics_textfile);
	free(config->node_id);
	free(config->log_id_file);
	free(config->domain_log_id_file);
	free(config->nodes_file);
	free(config->wireguard_names_file);
	free(config->tailscale_socket);
	device_config_deinit(&config->tun);
	device_config_deinit(&config->sock);
	strv_free(config->underlay_devices);
	prefix_list_deinit(&config->tailnet);
	prefix_list_deinit(&config->tailnet_exclude);
	route_lists_deinit(&config->routes);
	prefix_list_deinit(&config->ignore_addrs);
	free(config->spool_directory);
	for (size_t i = 0; i < config->n_sinks; i++)
		sink_config_deinit(&config->sinks[i]);
	free(config->sinks);
	free(config);
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

#define RESERVE_MIN (UINT64_C(16) << 10)
#define RESERVE_MAX (UINT64_C(2) << 20)

uint64_t config_spool_reserve(uint64_t max_size)
{
	return MIN(MAX(max_size / 64, RESERVE_MIN), RESERVE_MAX);
}

uint64_t config_spool_usable(uint64_t max_size)
{
	/* As much again for damaged parts. */
	uint64_t reserve = 2 * config_spool_reserve(max_size);

	return max_size > reserve ? max_size - reserve : max_size / 2;
}
