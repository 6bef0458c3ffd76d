/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A netlink request and its answer, with a deadline, for rtnetlink and generic netlink alike: a dump may come
 * in many datagrams, may be interrupted by a change (NLM_F_DUMP_INTR), may be cut short, and whatever comes
 * is checked before anybody reads it (man 7 netlink; the kernel's Documentation/userspace-api/netlink).
 */

#include "common/cleanup.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests are built in a buffer of this size. */
#define NETLINK_REQUEST_MAX 512

struct netlink;

/* Opens a socket of a bus (NETLINK_ROUTE, NETLINK_GENERIC). 0 or -errno. */
int netlink_new(int bus, struct netlink **ret_netlink);
void netlink_free(struct netlink *netlink);
DEFINE_CLEANUP(struct netlink *, netlink_free);

/* Takes one message of an answer, whole and well-formed as far as its own header goes. Returns 0, or -errno
 * to end. */
typedef int (*netlink_message_fn)(const struct nlmsghdr *message, void *userdata);

/* Where the answer to one request stands. */
struct netlink_answer {
	uint32_t port;	   /* who asked */
	uint32_t sequence; /* which request */
	bool dump;	   /* many messages up to NLMSG_DONE; else one, or an acknowledgement */
	bool done;
	bool interrupted; /* the kernel says that it changed underneath (NLM_F_DUMP_INTR) */
};

/*
 * Reads one datagram of an answer: a pure function. Messages to others are stepped over. 0, -errno as the
 * kernel answered or the function returned, or -EBADMSG when the datagram is malformed.
 */
int netlink_answer_read(struct netlink_answer *answer, const void *data, size_t n, netlink_message_fn message,
			void *userdata);

/*
 * Sends a request (its flags say whether it is a dump; sequence is set here) and reads the answer, each
 * message by the function, each part within timeout_ms (and a dump of many within five times that). The
 * receive buffer is wiped after every datagram: WireGuard hands out keys. *ret_interrupted (may be NULL): the
 * dump is not of one moment. 0, -ETIMEDOUT, -EMSGSIZE for a datagram that didn't fit, or what the kernel
 * answered.
 */
int netlink_request(struct netlink *netlink, struct nlmsghdr *request, int timeout_ms,
		    netlink_message_fn message, void *userdata, bool *ret_interrupted);

/* Whether setting NETLINK_GET_STRICT_CHK worked: the kernel then filters dumps by what the request names. */
bool netlink_is_strict(const struct netlink *netlink);
