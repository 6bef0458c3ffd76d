/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A device counts the connections of one layer: the tun device those inside the tunnel, the sock device what
 * the tunnel sends to its peers over the real network. It has two operations, set_statistics_enabled() and
 * extract_statistics(), and a mark that says where a window ends.
 *
 * All operations are called from the logger's thread, one at a time; they may block, but never longer than
 * a second or two, and a device must never end the daemon. A failure is an answer: what
 * was counted before it is still handed over, and the extraction's `errors` says that something is missing.
 */

#include "common/config/config.h"
#include "common/connection.h"

#include <stdbool.h>
#include <stdint.h>

struct device;
struct epoch; /* daemon/device/epoch.h: the kernel side's shared switch between windows */

enum device_layer { LAYER_TUN, LAYER_SOCK };

/* What a device handed over for one window. Zero-initialised is empty. */
struct extraction {
	struct flows flows;	/* a connection may appear more than once: whoever reads it adds up */
	struct counts totals;	/* counted apart from the flows and before them; entries + ... = totals */
	struct counts overflow; /* did not fit */
	struct counts unknown;	/* sock: from or to no known peer */
	struct counts inexact;	/* in the flows too; what they stand for could not be told exactly */
	bool has_totals;	/* the source sees packets, so conservation must hold */
	bool packets_only;	/* conservation holds in packets: the size of what was dropped is not known */
	uint64_t errors;	/* failed extractions, bad answers: counted, told */
};

void extraction_deinit(struct extraction *extraction);
/* Adds what `from` holds, and leaves it empty. What finds no memory is overflow. */
void extraction_merge(struct extraction *extraction, struct extraction *from);

/* What `status` says of a device. Texts are owned by the device and valid until its next operation. */
struct device_info {
	enum device_source source; /* the one in use */
	/* How: "tcx", "clsact", "generic netlink", "/var/run/wireguard/wg0.sock"; or NULL. */
	const char *attachment;
	const char *reason;  /* why not a better one; or NULL */
	const char *warning; /* what may hide packets from it (programs ahead of ours); or NULL */
	const char *interface;
	unsigned int ifindex;	  /* 0: none */
	uint64_t memory;	  /* bytes of kernel maps or rings */
	uint64_t device_drops_rx; /* the interface's own drop counters */
	uint64_t device_drops_tx;
	uint64_t tunnel_dropped_rx; /* sock: datagrams the tunnel refused (underlay minus tunnel, bytes) */
};

struct device_ops {
	const char *name; /* as in the configuration */
	enum device_source source;

	/* Releases everything, kernel side too. */
	void (*free)(struct device *device);

	/* Start or stop counting. Setting the state it already has changes nothing and returns 0. */
	int (*set_statistics_enabled)(struct device *device, bool enabled);

	/*
	 * Hand over the counts of every connection since the last extraction, and start again from zero. The
	 * output is filled in also when a negative errno comes back. -ENODEV: the interface is gone, or what
	 * hung on it; make the device anew.
	 */
	int (*extract_statistics)(struct device *device, struct extraction *ret_extraction);

	/* Fills in all of it; cheap enough to be asked at every window's end. */
	void (*get_info)(struct device *device, struct device_info *ret_info);

	/*
	 * The peers' allowed IPs, for routes mode auto (sock devices of a WireGuard tunnel). May be NULL.
	 * Appends single addresses and networks alike.
	 */
	int (*get_allowed_ips)(struct device *device, struct prefix_list *allowed_ips);

	/*
	 * A peer's change of state since the last call, oldest first: one line of text for the log each
	 * ("peer 100.64.0.2 is at 192.0.2.7:51820"). May be NULL. Calls back for each.
	 */
	void (*get_events)(struct device *device, void (*event)(const char *text, void *userdata),
			   void *userdata);

	/*
	 * Puts this device, which is disabled, in the place of an enabled one of the same source on the same
	 * interface, so that each packet is counted by one of them. Then this one is enabled and the other is
	 * not, and still holds what it counted. May be NULL. 0; or -errno, and both are as before.
	 */
	int (*take_over)(struct device *device, struct device *from);

	/*
	 * A descriptor that becomes readable when the device wants an early extraction into the same window
	 * (a map at three quarters), and stays so until the extraction: watch it for one event at a time.
	 * -1 or NULL: never.
	 */
	int (*get_pressure_fd)(struct device *device);
};

/* Every source embeds this first. */
struct device {
	const struct device_ops *ops;
	enum device_layer layer;
	bool enabled;
};

/* What a source needs to know to make a device. */
struct device_options {
	enum device_layer layer;
	const char *interface;	  /* may be NULL for stats */
	const char *stats_socket; /* may be NULL */
	uint32_t max_flows;
	enum underlay_mode underlay;
	char *const *underlay_devices;
	struct epoch *epoch;   /* shared by both layers; borrowed, outlives the devices */
	bool without_tcx;      /* tests: attach as on a kernel that has no TCX */
	const char *wg_broker; /* tests: where it listens; NULL: as installed */
};

/*
 * One constructor per source: 0 and a device that is disabled; -ENODEV when the interface or socket isn't
 * there yet (wait and try again); -EPERM, -EOPNOTSUPP and others when this source can't work here, with a
 * reason for people (owned by the caller).
 */
int device_none_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_ebpf_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_packet_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_stats_new(const struct device_options *options, struct device **ret_device, char **ret_reason);

static inline void device_free(struct device *device)
{
	if (device)
		device->ops->free(device);
}
