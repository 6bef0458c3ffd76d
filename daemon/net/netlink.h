/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A netlink request and its answer, with a deadline, for rtnetlink and generic netlink alike. A dump may take
 * many datagrams, may be interrupted by a change (NLM_F_DUMP_INTR), and may be truncated; everything is
 * checked before it is read (man 7 netlink; the kernel's Documentation/userspace-api/netlink).
 */

#include "common/cleanup.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests are built in a buffer of this size. */
#define NETLINK_REQUEST_MAX 512

struct netlink;

/* Opens a socket on a bus (NETLINK_ROUTE, NETLINK_GENERIC). 0 or -errno. */
int netlink_new(int bus, struct netlink **ret_netlink);
void netlink_free(struct netlink *netlink);
DEFINE_CLEANUP(struct netlink *, netlink_free);

/* Takes one message of an answer; its header has been checked. Returns 0, or -errno to end. */
typedef int (*netlink_message_fn)(const struct nlmsghdr *message, void *userdata);

/* An answer that is being read. */
struct netlink_answer {
	uint32_t port;	   /* of the socket that sent the request */
	uint32_t sequence; /* of the request */
	bool dump;	   /* many messages up to NLMSG_DONE; else one, or an acknowledgement */
	bool done;
	bool interrupted; /* the data changed during the dump (NLM_F_DUMP_INTR) */
};

/*
 * Reads one datagram of an answer, without I/O. Messages for others are skipped. 0, the -errno that the
 * kernel answered or the callback returned, or -EBADMSG when the datagram is malformed.
 */
int netlink_answer_read(struct netlink_answer *answer, const void *data, size_t n, netlink_message_fn message,
			void *userdata);

/*
 * Sends a request (its flags say whether it is a dump; the sequence is set here), reads the answer, and calls
 * back for each message. Each datagram must come within timeout_ms, a whole dump within five times that. The
 * receive buffer is wiped after every datagram, since WireGuard's contain keys. *ret_interrupted (may be
 * NULL): the dump is not a snapshot of one moment. 0, -ETIMEDOUT, -EMSGSIZE for a datagram that did not fit,
 * or what the kernel answered or the callback returned.
 */
int netlink_request(struct netlink *netlink, struct nlmsghdr *request, int timeout_ms,
		    netlink_message_fn message, void *userdata, bool *ret_interrupted);

/* Whether the kernel supports NETLINK_GET_STRICT_CHK: it then filters dumps by what the request names. */
bool netlink_is_strict(const struct netlink *netlink);
