/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a text message says, as members for programs: its "event". Each type has the members that are named
 * beside it; those in brackets are left out where nothing is known. Times are RFC 3339, in UTC. They are part
 * of the message's format: packaging/schema/message.schema.json and netlogd(8) list them, too.
 *
 * `device` is "tun" or "sock", `target` its interface or socket, `source` as in the configuration.
 */

#define EVENT_STARTED	    "started"	   /* version, tun and sock (each device, source, [target]), routes */
#define EVENT_STOPPED	    "stopped"	   /* */
#define EVENT_UNCLEAN_STOP  "unclean-stop" /* [lastMessage]: of the run that did not end in order */
#define EVENT_CLOCK_STEPPED "clock-stepped" /* seconds */
#define EVENT_DEVICE_LOST   "device-lost"   /* device, target */
#define EVENT_DEVICE_BACK   "device-back"   /* device, source, [target]: it was lost before */
#define EVENT_DEVICE_FOUND  "device-found"  /* the same; it had been waited for */
#define EVENT_DEVICE_CHANGED                                                                                 \
	"device-changed" /* the same, [gapSeconds]: by a reload; nothing was counted then */
#define EVENT_DEVICE_WARNING "device-warning" /* device, target, warning: what may hide packets */
#define EVENT_PEER_ACTIVE    "peer-active"    /* of peers: below */
#define EVENT_PEER_MOVED     "peer-moved"     /* the same, [fromPath], [fromEndpoint], [fromVia] */
#define EVENT_PEER_SILENT    "peer-silent"    /* of peers: below */
#define EVENT_PEERS_OMITTED  "peers-omitted"  /* events: so many more, of which only the number was kept */
#define EVENT_LOST	     "lost" /* messages, bytes, [from], [to], reason; the uploader's have sink, too */
#define EVENT_WINDOW_LOST    "window-lost"   /* connections, reason: a window that could not be written */
#define EVENT_SPOOL_REMOVED  "spool-removed" /* messages, undelivered: files that another program removed */
#define EVENT_HEARTBEAT	     "heartbeat"     /* silentSeconds */

/*
 * Of peers: peer (its name), nodeId, [publicKey], [address] (in the tunnel), [path] ("direct", "derp",
 * "relay"), [endpoint], [via] (the DERP region's code), [lastHandshake].
 */

#include <jansson.h>

struct device_event;
struct layer;

/* An event of this type without further members. All of these: a new reference; NULL without memory. */
json_t *event_of_type(const char *type);
/* With device and target. */
json_t *event_of_target(const char *type, const struct layer *layer);
/* With device, source and target. */
json_t *event_of_device(const char *type, const struct layer *layer);
/* started: version is the daemon's, routes "auto" or "static". */
json_t *event_of_start(const char *version, const struct layer *tun, const struct layer *sock,
		       const char *routes);

#define EVENT_PEER_TEXT_MAX 512

/*
 * What happened to a peer: the text for people is written ("peer laptop is active at 192.0.2.7:51820").
 * id: of the node that it is; NULL: the tunnel's word for that. name: how the operator calls it; NULL: the
 * tunnel's name for it, or else its address.
 */
json_t *event_of_peer(const struct device_event *event, const char *id, const char *name,
		      char ret_text[static EVENT_PEER_TEXT_MAX]);
