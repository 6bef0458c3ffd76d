/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A device counts the connections of one layer: the tun device those inside the tunnel, the sock device what
 * the tunnel sends to its peers over the physical network. It has two operations, set_statistics_enabled()
 * and extract_statistics(), which marks the end of a window.
 *
 * All operations are called from the logger's thread, one at a time. They may block, but never longer than a
 * second or two, and a device must never end the daemon. A failed extraction still hands over what was
 * counted before the failure, and its `errors` says that something is missing.
 */

#include "common/config/config.h"
#include "common/connection.h"

#include <stdbool.h>
#include <stdint.h>

struct device;
struct epoch; /* daemon/device/epoch.h: the kernel side's shared switch between windows */

/* Takes flows of an extraction that is under way. They are borrowed, and may be changed. */
struct flow_taker {
	void (*take)(struct flows *flows, void *userdata);
	void *userdata;
};

/* What a device handed over for one window. Zero-initialised is empty. */
struct extraction {
	struct flows flows;		/* a connection may appear more than once: the reader adds them up */
	const struct flow_taker *taker; /* of flows that are more than a slice; NULL: all stay in `flows` */
	struct counts taken;		/* the sum of those that it has taken */
	size_t n_taken;
	struct counts totals;	/* counted apart from the flows and before them; entries + ... = totals */
	struct counts overflow; /* did not fit */
	struct counts unknown;	/* sock: from or to no known peer, or to one of several at the same endpoint,
				 * or not accepted by the tunnel */
	struct counts unseen;	/* sock: in flows and totals; what the underlay did not show, by the tunnel's
				 * own counters (bytes only) */
	uint64_t bypassed; /* packets that the interface sent, at least, past the place where they count */
	struct counts inexact; /* in the flows too; large segments whose packets are not known exactly */
	uint64_t lost_details; /* SYN, FIN and RST packets whose details found no room */
	bool has_totals;       /* the source sees packets, so conservation must hold */
	bool packets_only;     /* conservation holds only in packets: the size of dropped ones is unknown */
	uint64_t errors;       /* failed extractions and bad answers */
};

#define EXTRACTION_SLICE 4096 /* flows */

void extraction_deinit(struct extraction *extraction);
/*
 * Makes room for n more flows. With a taker, those that are there are given to it first if they were more
 * than a slice together, so that the flows of a large window are never all in memory. 0; or -ENOMEM, nothing
 * added.
 */
int extraction_reserve(struct extraction *extraction, size_t n);
/* Adds the content of `from`, and leaves that empty. Flows that find no memory are overflow. */
void extraction_merge(struct extraction *extraction, struct extraction *from);

#define UNSEEN_NAMED 5

/* Peers whose datagrams the underlay does not show, for one reason; in numbers, since there may be thousands.
 */
struct unseen_peers {
	const char *cause; /* a word for it: "port", "device" ... */
	char reason[128];  /* the same for people */
	size_t n;
	char names[UNSEEN_NAMED][48]; /* of the first of them: addresses in the tunnel, or public keys */
};

/* What `status` says of a device. Texts are owned by the device and valid until its next operation. */
struct device_info {
	enum device_source source; /* the one in use */
	/* How: "tcx", "clsact", "generic netlink", "/var/run/wireguard/wg0.sock"; or NULL. */
	const char *attachment;
	const char *reason;  /* why not a better one; or NULL */
	const char *warning; /* what may hide packets from it (a program ahead of ours); or NULL */
	/* How often it went ahead of another program that had come before it. */
	unsigned int went_ahead;
	const char
		*backend; /* what serves the tunnel, and its state: "tailscaled 1.98.8: Running"; or NULL */
	const char *interface;
	unsigned int ifindex;	  /* 0: none */
	uint64_t memory;	  /* bytes of kernel maps or rings */
	uint64_t device_drops_rx; /* the interface's own drop counters */
	uint64_t device_drops_tx;
	uint64_t
		tunnel_dropped_rx; /* sock: datagrams that the tunnel refused (bytes: underlay less tunnel) */
	const struct unseen_peers *unseen; /* sock: peers that have the tunnel's own bytes at present */
	size_t n_unseen;		   /* reasons */
	const char *names_problem;	   /* sock: why peers' names are missing or old; or NULL */
};

#define DEVICE_PEER_KEY_SIZE 32

/* How datagrams reach a peer. */
enum device_path {
	DEVICE_PATH_UNKNOWN, /* not known, or not in use now */
	DEVICE_PATH_DIRECT,
	DEVICE_PATH_DERP,  /* through one of Tailscale's relays, named by its region */
	DEVICE_PATH_RELAY, /* through another peer; the endpoint is that one's */
};

/* "direct", "derp", "relay"; "" if it is not known. Constant. */
const char *device_path_name(enum device_path path);

/* A peer of the tunnel, as of the last extraction. Borrowed. */
struct device_peer {
	const char *id; /* lasting: its public key in base64, or the ID that the tunnel's control plane has
			 * given it */
	const char
		*name; /* plain text; without a known one the first DEVICE_PEER_SHORT characters of the id */
	bool named;    /* the name is known */
	bool self;     /* it is this node */
	bool has_public_key;
	uint8_t public_key[DEVICE_PEER_KEY_SIZE];
	struct endpoint endpoint; /* none: not known */
	enum device_path path;
	const char *via;	/* the DERP region's code; NULL otherwise, or if it is not known */
	unsigned int region;	/* its number; 0 otherwise */
	int64_t last_handshake; /* wall clock, ns; 0: never */
	int64_t last_seen;	/* when something last came from it, wall clock, ns; 0: not known */
	uint64_t tx_bytes;	/* the tunnel's own counters */
	uint64_t rx_bytes;
	const struct prefix_list *allowed_ips;
	const struct prefix_list *addresses; /* NULL: the single addresses among its allowed IPs */
	bool without_address;		     /* its allowed IPs tell none, nor a network behind it */
	struct address source; /* of its entries, where that is none of its addresses, but begins a network
				* that is behind it; else none */
	const char *os, *user; /* may be NULL */
	char *const *tags;     /* NULL-terminated; may be NULL */
};

#define DEVICE_PEER_SHORT 8

/* Whether anything has ever come from it: else it may not be reached at all by the path that it has. */
bool device_peer_is_reached(const struct device_peer *peer);

enum device_event_type {
	DEVICE_EVENT_PEER_ACTIVE,
	DEVICE_EVENT_PEER_MOVED,  /* to another endpoint or path */
	DEVICE_EVENT_PEER_SILENT, /* nothing came from it for minutes */
	DEVICE_EVENT_OMITTED,	  /* changes of peers that found no room in the list: n of them */
};

/* A change of a peer. Borrowed. */
struct device_event {
	enum device_event_type type;
	const char *id, *name; /* as in struct device_peer */
	bool named;
	const uint8_t *public_key; /* DEVICE_PEER_KEY_SIZE bytes; NULL: not known */
	struct address address;	   /* in the tunnel; may be none */
	enum device_path path;	   /* and where it is now; both may be not known */
	struct endpoint endpoint;
	const char *via;
	enum device_path from_path; /* before it moved */
	struct endpoint from_endpoint;
	const char *from_via;
	int64_t last_handshake; /* wall clock, ns; 0: never */
	uint64_t n;		/* of DEVICE_EVENT_OMITTED */
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
	 * output is filled in even with an error. -ENODEV: the interface is gone, or what was attached to it;
	 * make a new device. A source that can extract in slices gives them to the device's `taker`.
	 */
	int (*extract_statistics)(struct device *device, struct extraction *ret_extraction);

	/*
	 * Right before the flip of the epoch that ends a window, or a part of one: what must not be younger
	 * than the counts is read now. May be NULL.
	 */
	void (*before_flip)(struct device *device);

	/*
	 * Finds the interface of a disabled device that was made before it existed, or whose interface has
	 * gone. 0; -ENODEV: there is none; or another -errno. NULL: the source makes no such devices.
	 */
	int (*find_interface)(struct device *device);

	/* Fills in every member; cheap enough to call at the end of every window. */
	void (*get_info)(struct device *device, struct device_info *ret_info);

	/*
	 * Appends the peers' allowed IPs, addresses and networks alike, for routes mode auto (sock devices of
	 * a WireGuard tunnel). May be NULL.
	 */
	int (*get_allowed_ips)(struct device *device, struct prefix_list *allowed_ips);

	/*
	 * Appends what the tunnel's control plane has given to this node, for routes mode auto: its
	 * addresses, and the networks that it serves for others. They change only with identities(). May be
	 * NULL.
	 */
	int (*get_own_routes)(struct device *device, struct route_lists *lists);

	/* Calls back for each peer (sock devices of a tunnel that has them). May be NULL. */
	void (*foreach_peer)(struct device *device,
			     void (*peer)(const struct device_peer *peer, void *userdata), void *userdata);

	/*
	 * Where peers have their names from, of which the tunnel itself has none: the key `wireguard-names`;
	 * file: its path, or NULL. Borrowed. May be NULL.
	 */
	void (*set_names)(struct device *device, enum names_mode mode, const char *file);

	/*
	 * The address in the tunnel of a peer that is without_address (none: forget it), by its public key;
	 * its entries have it from the next window on. May be NULL.
	 */
	void (*set_address)(struct device *device, const uint8_t *public_key, const struct address *address);

	/*
	 * A number that is another one whenever a peer has come or gone, or its id, name, addresses, OS, user
	 * or tags have changed; it is asked for at each window's end. May be NULL: its peers are not to be
	 * known as nodes.
	 */
	uint64_t (*identities)(struct device *device);

	/* Calls back for each change of a peer since the last call, oldest first. May be NULL. */
	void (*get_events)(struct device *device,
			   void (*event)(const struct device_event *event, void *userdata), void *userdata);

	/*
	 * Replaces an enabled device of the same source on the same interface by this disabled one, such that
	 * exactly one of them counts each packet. Afterwards this one is enabled and the other is disabled,
	 * and still holds what it counted. May be NULL. 0; or -errno, and both are as before.
	 */
	int (*take_over)(struct device *device, struct device *from);

	/*
	 * A descriptor that becomes readable when the device wants an early extraction into the same window
	 * (a map is three quarters full), and stays so until the extraction: watch it for one event at a
	 * time. -1 or NULL: never.
	 */
	int (*get_pressure_fd)(struct device *device);

	/*
	 * Whether that descriptor, which is readable, asks for an extraction. If not, it is no longer
	 * readable. May be NULL: it does.
	 */
	bool (*wants_extraction)(struct device *device);
};

/* Every source embeds this first. */
struct device {
	const struct device_ops *ops;
	enum device_layer layer;
	bool enabled;
	const struct flow_taker *taker; /* for the extraction that is under way; may be NULL */
};

/*
 * What shows that a tunnel has counted nothing before the daemon saw it, so that its own counters count from
 * zero. Without such a proof they count from the first reading.
 */
enum device_origin {
	DEVICE_ORIGIN_UNKNOWN,	 /* nothing: it may have existed for long */
	DEVICE_ORIGIN_NO_SOCKET, /* nobody served the socket of its name: a userspace tunnel was started later
				  */
	DEVICE_ORIGIN_ZERO,	 /* it was seen with all its counters at zero */
};

/* What a source needs to know to make a device. */
struct device_options {
	enum device_layer layer;
	const char *interface;	  /* may be NULL for stats */
	const char *stats_socket; /* may be NULL */
	uint32_t max_flows;
	bool details; /* notes how connections went, too */
	enum underlay_mode underlay;
	char *const *underlay_devices;
	enum device_origin origin;    /* of the tunnel that it finds */
	bool ahead;		      /* the interface may not exist yet: find_interface() will be called */
	struct epoch *epoch;	      /* shared by both layers; borrowed, outlives the devices */
	bool without_tcx;	      /* tests: attach as on a kernel that has no TCX */
	const char *wg_broker;	      /* tests: where it listens; NULL: as installed */
	const char *tailscale_socket; /* of tailscaled's local API; may be NULL */
	const char *tailscale_helper; /* tests: the program; NULL: as installed */
};

/*
 * One constructor per source. 0 and a disabled device; -ENODEV: the interface or socket does not exist yet
 * (wait and try again); -EPERM, -EOPNOTSUPP and others: this source cannot work here, with a reason for the
 * log (owned by the caller; NULL without memory).
 */
int device_none_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_ebpf_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_packet_new(const struct device_options *options, struct device **ret_device, char **ret_reason);
int device_stats_new(const struct device_options *options, struct device **ret_device, char **ret_reason);

/* What a negative errno means when programs could not be loaded: its text, or libbpf's meaning of -ESRCH. */
const char *device_load_error(int r);
/* For constructors: if r is an error, sets *ret_reason (may be NULL) to the text and the error. Returns r. */
int device_explain(int r, const char *text, char **ret_reason);

static inline void device_free(struct device *device)
{
	if (device)
		device->ops->free(device);
}
