/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One layer of the logger: which source counts it, and what to do when that source isn't there. A layer
 * always has an answer: while its interface is missing it counts nothing, says so, and takes the interface up
 * again when it comes. All of it belongs to the logger's thread.
 */

#include "daemon/device/device.h"

#include <jansson.h>

enum layer_state {
	LAYER_STATE_STOPPED,  /* no device is open */
	LAYER_STATE_COUNTING, /* a device is open (and counts while it is enabled) */
	LAYER_STATE_WAITING,  /* its interface or socket was never there */
	LAYER_STATE_LOST,     /* its interface went away */
	LAYER_STATE_FAILED,   /* no source works here; the reason says why */
};

/* What a source is to a layer. */
enum layer_use {
	LAYER_USE_NOT,	 /* it counts something else */
	LAYER_USE_NAMED, /* when it is asked for by its name */
	LAYER_USE_AUTO,	 /* "auto" tries it as well */
};

/* A source that a layer may choose; the list goes from best to worst and ends with make = NULL. */
struct layer_source {
	enum device_source source;
	int (*make)(const struct device_options *options, struct device **ret_device, char **ret_reason);
	enum layer_use use[2]; /* by layer */
};

struct layer {
	enum device_layer which;
	const struct layer_source *sources; /* the real ones; a test may put its own here */
	struct device_config config;	    /* owned */
	uint32_t max_flows;
	enum underlay_mode underlay;
	char **underlay_devices; /* owned */
	struct epoch *epoch;	 /* borrowed; NULL where eBPF is not to be had */

	struct device *device; /* NULL unless counting */
	enum layer_state state;
	bool gone;	    /* the device itself said that what it counted on is no more */
	bool enabled;	    /* what was asked for; a device that comes later is set so */
	char *reason;	    /* why not a better source, or why none */
	struct layer *next; /* what will take this one's place; or NULL */
	bool follows;	    /* of a next one: it does not count until it takes over */
	struct device
		*leaving; /* one that was taken over from: its last counts are still to be taken; or NULL */

	/* Since the daemon's start. */
	struct counts totals, overflow, unknown, inexact;
	uint64_t errors;
	uint64_t conservation_failures;
	size_t last_connections; /* of the last extraction */
};

void layer_init(struct layer *layer, enum device_layer which, struct epoch *epoch);
void layer_deinit(struct layer *layer);

/* "tun" or "sock" */
const char *layer_name(const struct layer *layer);
const char *layer_state_name(enum layer_state state);

/* Takes the settings for the next open. 0 or -ENOMEM, nothing changed. */
int layer_configure(struct layer *layer, const struct config *config, const struct device_config *device);
/* Whether these settings ask for another device than the one that the layer has. */
bool layer_differs(const struct layer *layer, const struct config *config,
		   const struct device_config *device);

/*
 * Chooses a source and makes its device, disabled unless the layer is enabled. 0 when it counts or waits;
 * -errno when no source works here, with layer->reason.
 */
int layer_open(struct layer *layer);
/*
 * Where `auto` has found no source for a layer and settled for `none`: tries again, since a tunnel may appear
 * on an interface that was there before. True if a source has taken its place.
 */
bool layer_improve(struct layer *layer);
void layer_close(struct layer *layer);

/* 0 or the device's -errno. Without a device: remembered. */
int layer_set_enabled(struct layer *layer, bool enabled);
/*
 * Exchanging the device without a gap. layer_prepare() makes the device that these settings ask for, and
 * layer_take_next(), right after an extraction, puts it in place. Where it can take over from the one that is
 * there, it does so then, and that one's last counts are in the next extraction. Else it counts beside that
 * one from the start, and what it counts is thrown away with each extraction. 0, also when that device is
 * waited for or fails, which the layer then does; -ENOMEM.
 */
int layer_prepare(struct layer *layer, const struct config *config, const struct device_config *device);
void layer_take_next(struct layer *layer);
/* Leaves the device that is there. Nothing if none was prepared. */
void layer_drop_next(struct layer *layer);

/* Always fills in; what goes wrong is counted and stands in the extraction's errors. */
void layer_extract(struct layer *layer, struct extraction *ret_extraction);

/* Whether the device's interface is no longer the one that its name names. */
bool layer_is_lost(const struct layer *layer);
/* Closes the device of a lost interface. */
void layer_lose(struct layer *layer);
/* Whether it should try to open again (it waits, is lost or has failed). */
bool layer_wants_retry(const struct layer *layer);

/* The name of its interface or socket; borrowed. */
const char *layer_target(const struct layer *layer);
/* "tun wg0 by ebpf (tcx)", for a text message; owned by the caller, NULL without memory. */
char *layer_describe(const struct layer *layer);
/* The layer's part of Status; NULL without memory. */
json_t *layer_status(const struct layer *layer);
/* {"txPkts", "txBytes", "rxPkts", "rxBytes"} */
json_t *layer_counts_status(const struct counts *counts);
