/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One layer of the logger: which source counts it, and what happens while there is none. A layer whose
 * interface is missing counts nothing, says so, and continues when the interface appears. All of it belongs
 * to the logger's thread.
 */

#include "daemon/device/device.h"

struct rtnl;

enum layer_state {
	LAYER_STATE_STOPPED,  /* no device is open */
	LAYER_STATE_COUNTING, /* a device is open (and counts while it is enabled) */
	LAYER_STATE_WAITING,  /* its interface or socket has not existed yet */
	LAYER_STATE_LOST,     /* its interface disappeared */
	LAYER_STATE_FAILED,   /* no source works; the reason says why */
};

/* Whether a layer may use a source. */
enum layer_use {
	LAYER_USE_NOT,	 /* never: it counts something else */
	LAYER_USE_NAMED, /* when it is named */
	LAYER_USE_AUTO,	 /* "auto" tries it, too */
};

/* A source that a layer may choose; the list goes from best to worst and ends with make = NULL. */
struct layer_source {
	enum device_source source;
	int (*make)(const struct device_options *options, struct device **ret_device, char **ret_reason);
	enum layer_use use[2]; /* by layer */
};

/* Beyond these, the oldest one is given up: an error is counted, and its last counts are lost. */
#define LAYER_LEAVING_MAX 4

struct layer {
	enum device_layer which;
	const struct layer_source *sources; /* the real ones; tests have their own */
	struct device_config config;	    /* owned */
	uint32_t max_flows;
	bool details;
	enum underlay_mode underlay;
	char **underlay_devices; /* owned */
	char *tailscale_socket;	 /* owned */
	struct epoch *epoch;	 /* borrowed; NULL without eBPF */

	struct device *device; /* NULL unless counting */
	/* Made while the interface is missing, so that counting can begin at once when it comes; or NULL. The
	 * kernel takes its time to attach programs, so packet sockets count until that is done. */
	struct device *ready, *bridge;
	struct rtnl *rtnl;  /* to ask for the interface; NULL: not opened yet */
	int question_error; /* of the last question, unless the kernel's answer was that there is none; or 0
			     */
	enum layer_state state;
	enum device_origin
		origin;	    /* while there is no tunnel: what shows that the next one counts from zero */
	bool gone;	    /* the device reported that its interface or socket is gone */
	bool enabled;	    /* as requested; also for a device that appears later */
	char *reason;	    /* why there is no better source, or none */
	struct layer *next; /* replaces this one soon; or NULL */
	bool follows;	    /* of a next one: it counts only after it has taken over */
	bool begun;	    /* of a next one: what it counts from now on is logged */
	int64_t ended;	    /* boot time, ns: when the current device stopped in favour of the next one */
	int64_t gap;	    /* ns between that and the next one's first count; 0: none */
	/* Previous devices until their last counts are extracted, oldest first; the rest NULL. */
	struct device *leaving[LAYER_LEAVING_MAX];
	struct extraction last; /* of one that has been freed; part of the next extraction */

	/* Since the daemon's start. */
	struct counts totals, overflow, unknown, unseen, inexact;
	uint64_t bypassed;     /* packets */
	uint64_t lost_details; /* SYN, FIN and RST packets */
	uint64_t errors;
	uint64_t conservation_failures;
	size_t last_connections; /* of the last window */

	/* What the log has told about the device. */
	int told_error;
	bool told_bypassed, told_warning, told_names;
	unsigned int told_ahead;
};

void layer_init(struct layer *layer, enum device_layer which, struct epoch *epoch);
void layer_deinit(struct layer *layer);

/* "tun" or "sock" */
const char *layer_name(const struct layer *layer);
const char *layer_state_name(enum layer_state state);

/* Copies the settings for the next layer_open(). 0 or -ENOMEM, nothing changed. */
int layer_configure(struct layer *layer, const struct config *config, const struct device_config *device);
/* Whether these settings require another device. */
bool layer_differs(const struct layer *layer, const struct config *config,
		   const struct device_config *device);

/*
 * Chooses a source and makes its device, disabled unless the layer is enabled. If it was waiting for its
 * interface, there may be a next device afterwards, which is to replace this one at once: see below. 0 when
 * it counts or waits; -errno when no source works here, with layer->reason.
 */
int layer_open(struct layer *layer);
/*
 * To be called as soon as the interfaces have changed, before anything that takes time: if a tunnel has
 * appeared for which the layer waits, or instead of its own, it looks whether that has counted anything.
 */
void layer_look(struct layer *layer);
/*
 * If `auto` found no source and settled for `none`: tries again, since a tunnel may appear on an existing
 * interface. True if a source has replaced `none`.
 */
bool layer_improve(struct layer *layer);
void layer_close(struct layer *layer);

/* 0 or the device's -errno. Without a device: remembered. */
int layer_set_enabled(struct layer *layer, bool enabled);
/*
 * Replacing the device: layer_prepare() makes the device for new settings; layer_take_next() puts it in
 * place, right after an extraction that began with layer_end_current(), the flip of the epoch, and
 * layer_begin_next().
 *
 * If the next device can take over from the current one, it does so in layer_take_next(), and the last counts
 * of the current one are part of the next extraction. Otherwise the current one's last counts are taken by
 * the extraction in between. A next device of other traffic then counts beside it from the start (what it
 * counts before is thrown away); one of the same interface begins when the other has ended, so that no packet
 * counts twice, and layer->gap says what it may have missed in between.
 *
 * layer_prepare(): 0, also when the new device is missing or fails (then the layer waits or has failed);
 * -ENOMEM, or -EMFILE and -ENFILE when there is no descriptor for the new one, nothing changed.
 */
int layer_prepare(struct layer *layer, const struct config *config, const struct device_config *device);
/* These two do nothing if none was prepared, or if it takes over. */
void layer_end_current(struct layer *layer);
void layer_begin_next(struct layer *layer);
void layer_take_next(struct layer *layer);
/* Keeps the current device. Nothing if none was prepared. */
void layer_drop_next(struct layer *layer);

/* Always fills in *ret_extraction; failures are counted in its errors. taker: gets flows as they come, where
 * the source can extract in slices; NULL: all are in the extraction. */
void layer_extract(struct layer *layer, const struct flow_taker *taker, struct extraction *ret_extraction);
/* Whether the flip of the epoch alone decides what the next extraction holds, not its own time. */
bool layer_is_by_epoch(const struct layer *layer);

/* Whether the interface is gone, or its name belongs to another one now. When the kernel cannot be asked: no,
 * an error is counted, and question_error says why. */
bool layer_is_lost(struct layer *layer);
/* Closes the device of a lost interface, or keeps it for when the interface is back. */
void layer_lose(struct layer *layer);
/* Whether layer_open() should be tried again: it waits, is lost, or has failed. */
bool layer_wants_retry(const struct layer *layer);

/* The name of its interface or socket; borrowed. */
const char *layer_target(const struct layer *layer);
/* "tun wg0 by ebpf (tcx)", for a text message; owned by the caller, NULL without memory. */
char *layer_describe(const struct layer *layer);
