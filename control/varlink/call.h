/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Calls and the methods that answer them. A method never sees a socket: it gets a call, and answers it now or
 * keeps a reference and answers later.
 *
 * A call is counted by reference: one is the connection's while the call is under way, the others are its
 * keepers'. A keeper never needs to know whether the client is still there.
 */

#include "control/varlink/connection.h"

enum {
	VARLINK_PUBLIC = 0,
	VARLINK_PRIVILEGED = 1 << 0, /* for operators only, else org.varlink.service.PermissionDenied */
	VARLINK_NEEDS_MORE = 1 << 1, /* a stream: without "more", org.varlink.service.ExpectedMore */
};

struct varlink_method {
	const char *name; /* without the interface */
	unsigned int flags;
	/*
	 * Answers the call with one of varlink_call_reply*(), or takes a reference and answers later.
	 * Parameters are an object (empty if none were sent), borrowed for the time of the call, and are
	 * checked against the interface's description: members, types, nothing unknown; what is optional
	 * may be absent or null. A negative return of a method that has not answered is answered by the
	 * server: -EINVAL and others as the interface's error Failed (reason: string), -EPERM and -EACCES as
	 * org.varlink.service.PermissionDenied.
	 * NULL: described, but answered with org.varlink.service.MethodNotImplemented.
	 */
	int (*run)(struct varlink_call *call, json_t *parameters, void *userdata);
};

struct varlink_interface {
	const char *name;
	const char *description; /* the interface file's text */
	const struct varlink_method *methods;
	size_t n_methods;
};

/* The interfaces of a server. */
struct varlink_calls {
	struct {
		const struct varlink_interface *interface;
		void *userdata; /* of its methods */
	} * interfaces;
	size_t n_interfaces;
};

/* Turns requests into calls of the pool's userdata, a struct varlink_calls, with one interface at least. */
extern const struct varlink_connection_ops varlink_call_connection_ops;

/* The interface must outlive the calls. 0; -ENOMEM; -EEXIST; -EINVAL when its description is invalid or lacks
 * one of its methods. */
int varlink_calls_add_interface(struct varlink_calls *calls, const struct varlink_interface *interface,
				void *userdata);
/* Its place, or n_interfaces. The name need not end in a NUL. */
size_t varlink_calls_find_interface(const struct varlink_calls *calls, const char *name, size_t length);

struct varlink_call *varlink_call_ref(struct varlink_call *call);
/* The last reference to a call that was never answered answers it: Failed. */
void varlink_call_unref(struct varlink_call *call);
DEFINE_CLEANUP(struct varlink_call *, varlink_call_unref);
/* A oneway call has no answer: it continues without its client. */
bool varlink_call_is_oneway(const struct varlink_call *call);
bool varlink_call_wants_more(const struct varlink_call *call);
/* The client has gone, or the call has been answered in full. */
bool varlink_call_is_closed(const struct varlink_call *call);
uid_t varlink_call_peer_uid(const struct varlink_call *call);
/* Whether the client may call privileged methods. */
bool varlink_call_is_privileged(const struct varlink_call *call);
/* Bytes queued and not yet taken by the client. A method must thin out a stream that grows too large; past
 * max_output the client is cut off. */
size_t varlink_call_pending(const struct varlink_call *call);
/*
 * Called once if the client goes before the last answer, always from the loop (or varlink_server_free), never
 * from within varlink_call_reply*(). NULL: no more.
 */
void varlink_call_on_closed(struct varlink_call *call,
			    void (*closed)(struct varlink_call *call, void *userdata), void *userdata);

/*
 * Answers. Each takes the reference to parameters (NULL: empty object), also when it fails. After the last
 * one (all but *_continues) the call is done.
 * 0; -ENOTCONN when the client has gone or the call is done; -ENOMEM; -ENOBUFS when the client has not taken
 * max_output bytes, and is cut off now; -EINVAL for *_continues to a client that did not ask for "more".
 */
int varlink_call_reply(struct varlink_call *call, json_t *parameters);
int varlink_call_reply_continues(struct varlink_call *call, json_t *parameters);
/* name: in full, "org.netlogd.control.NotRunning". */
int varlink_call_error(struct varlink_call *call, const char *name, json_t *parameters);
/* org.varlink.service.InvalidParameter */
int varlink_call_invalid_parameter(struct varlink_call *call, const char *parameter);
/* The same two with the parameters as JSON text that is already there (one object, no NUL in it). */
int varlink_call_reply_text(struct varlink_call *call, const char *parameters, size_t n);
int varlink_call_reply_continues_text(struct varlink_call *call, const char *parameters, size_t n);
