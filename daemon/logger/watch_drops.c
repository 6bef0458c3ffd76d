/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program stays loaded for the life of the daemon, so that its sums are those since the daemon's start;
 * it is attached only while there is an interface to watch.
 */

#include "daemon/logger/watch_drops.h"

#include "common/cleanup.h"
#include "common/json_set.h"
#include "common/log.h"
#include "common/plural.h"
#include "daemon/device/drops.h"
#include "daemon/logger/state.h"
#include "daemon/record/aggregate.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

/* Why the tun device's source has no drops; NULL: it may have. */
static const char *why_without(const struct logger *logger)
{
	const struct layer *tun = &logger->tun;
	enum device_source source = tun->device ? tun->device->ops->source : tun->config.source;

	if (logger->running && source == SOURCE_STATS)
		return "the source stats sees no packets";
	return logger->running && source == SOURCE_NONE ? "no tunnel is counted" : NULL;
}

/* The interface that the tun device counts; 0: none. */
static unsigned int counted_interface(const struct logger *logger)
{
	const struct layer *tun = &logger->tun;
	struct device_info info = {};

	if (!logger->running || !logger->config->drops || !tun->device || !tun->enabled)
		return 0;
	tun->device->ops->get_info(tun->device, &info);
	return info.source == SOURCE_EBPF || info.source == SOURCE_PACKET ? info.ifindex : 0;
}

/* What says nothing about the kernel is tried again. */
static bool may_load(int error)
{
	return error == 0 || error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static void load(struct logger *logger)
{
	_cleanup_free_ char *reason = NULL;
	int r = drops_new(logger->epoch, &logger->drops, &reason);

	/* Reading the kernel's type information takes megabytes for a moment. */
	malloc_trim(0);
	if (r < 0 && r != logger->drops_error) {
		log_warning("dropped packets are not counted: %s", reason ? reason : strerror(-r));
		free(logger->drops_reason);
		logger->drops_reason = TAKE_PTR(reason);
	}
	logger->drops_error = r;
}

static void watch(struct logger *logger, unsigned int ifindex)
{
	int r = drops_watch(logger->drops, ifindex);

	if (r == 0) {
		logger->drops_ifindex = ifindex;
		free(TAKE_PTR(logger->drops_reason));
		return;
	}
	/* It is tried again at the end of the window. */
	if (!logger->drops_reason) {
		log_warning("dropped packets are not counted: cannot attach the program: %s", strerror(-r));
		logger->drops_reason = strdup(strerror(-r));
	}
}

void watch_drops_follow(struct logger *logger)
{
	unsigned int ifindex = counted_interface(logger);

	if (ifindex == logger->drops_ifindex)
		return;
	if (!logger->drops && may_load(logger->drops_error))
		load(logger);
	if (logger->drops)
		watch(logger, ifindex);
}

void watch_drops_begin(struct logger *logger)
{
	/* What made it impossible may have changed. */
	logger->drops_error = 0;
	watch_drops_follow(logger);
}

void watch_drops_gather(struct logger *logger, struct flows *flows)
{
	struct drops_info before, after;
	int r;

	if (!logger->drops)
		return;
	drops_get_info(logger->drops, &before);
	r = drops_extract(logger->drops, flows);
	drops_get_info(logger->drops, &after);
	if (r < 0 && before.failures == 0)
		log_error("dropped packets of this window are missing in the log: %s; more is only counted",
			  strerror(-r));
	if (after.overflow > 0 && before.overflow == 0)
		log_warning(
			"packets of too many connections were dropped in this window: %llu %s in no entry; more are only "
			"counted",
			(unsigned long long)after.overflow,
			plural(after.overflow, "packet is", "packets are"));
}

void watch_drops_end(struct logger *logger)
{
	if (logger->drops)
		watch(logger, 0);
}

void watch_drops_deinit(struct logger *logger)
{
	drops_free(TAKE_PTR(logger->drops));
	free(TAKE_PTR(logger->drops_reason));
}

static void add_reason(const char *name, uint64_t tx, uint64_t rx, void *userdata)
{
	json_array_append_new(userdata, json_pack("{ss sI sI}", "reason", name, "txPkts", (json_int_t)tx,
						  "rxPkts", (json_int_t)rx));
}

json_t *watch_drops_status(const struct logger *logger)
{
	json_t *status = json_object(), *reasons;
	const char *state = "waiting", *reason = why_without(logger);
	struct drops_info info;

	if (!reason)
		reason = logger->drops_reason;
	if (!reason && logger->drops_error)
		reason = strerror(-logger->drops_error);
	if (!logger->config->drops)
		state = "off";
	else if (reason)
		state = "unavailable";
	else if (logger->drops_ifindex)
		state = "counting";
	json_set_text(status, "state", state);
	json_set_text(status, "reason", logger->config->drops ? reason : NULL);
	if (!logger->drops)
		return status;
	drops_get_info(logger->drops, &info);
	json_set_number(status, "txPkts", info.tx);
	json_set_number(status, "rxPkts", info.rx);
	json_set_number(status, "overflow", info.overflow + aggregate_lost_drops(logger->aggregate));
	json_set_number(status, "unplaced", info.unplaced);
	json_set_number(status, "missed", info.missed);
	json_set_number(status, "errors", info.failures);
	json_set_number(status, "memory", info.memory);
	reasons = json_array();
	drops_foreach_reason(logger->drops, add_reason, reasons);
	json_object_set_new(status, "reasons", reasons);
	return status;
}
