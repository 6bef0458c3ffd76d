/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A Varlink server on a libevent loop: connections, caps, order of answers, permissions and introspection.
 * Methods never see a socket: they get a call, and answer it now or later.
 *
 * Requests on one connection are answered in order: the next one is looked at when the current call has been
 * answered in full. Only "oneway" requests, which have no answer, are run at once while a stream ("more") is
 * under way, so that a client can speak on the connection on which it listens. A call that its method keeps
 * (varlink_call_ref) is told of the client's end by on_closed.
 *
 * A client is cut off when it sends what is no request (a method's name has at most a kibibyte), more than
 * VARLINK_MESSAGE_MAX or more values in one message than any request needs, nothing for a while in the middle
 * of a message, or when it does not take its answers (too many queued, or none taken for a while). It may
 * shut down its sending side and still get its answers.
 *
 * What a client may cost is bounded: in one turn of the loop it gets a few requests, and one that is no
 * operator a few hundred in a second; the rest waits in its socket.
 */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct varlink_call;
struct varlink_server;

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

struct varlink_server_options {
	const char *vendor, *product, *version, *url; /* for org.varlink.service.GetInfo; NULL: "" */
	/* 0: 64. The last quarter is kept for operators, so that nobody else can lock them out. */
	size_t max_clients;
	/* 0: 60000. A client silent this long within a message, or not taking answers, is cut off. */
	int idle_in_message_ms;
	/* 0: 16 MiB of answers that a client has not taken; one more and it is cut off. */
	size_t max_output;
	/*
	 * Priorities of the loop (event_priority_set) at which clients are served, and new ones accepted at
	 * the operators'. 0, 0: as a loop without priorities has it.
	 */
	int operator_priority, other_priority;
	/* Whether this peer may call privileged methods. NULL: nobody may. */
	bool (*is_operator)(uid_t uid, void *userdata);
	void *userdata; /* passed to the methods too */
};

/* What the server has seen since it began, for status and metrics. */
struct varlink_server_counters {
	size_t clients;	   /* now */
	uint64_t accepted; /* clients in all */
	uint64_t refused;  /* clients beyond the cap, closed at once */
	uint64_t cut_off;  /* clients cut off for what they did, not those that went by themselves */
	uint64_t accept_errors;
	uint64_t calls;
	uint64_t denied; /* calls answered with PermissionDenied */
};

/* Copies the options' texts by reference: they must outlive the server. 0 or -ENOMEM. */
int varlink_server_new(struct event_base *base, const struct varlink_server_options *options,
		       struct varlink_server **ret_server);
/*
 * Closes all clients. Calls still open are told (on_closed); references held stay valid until unref'd, and
 * answers to them are dropped.
 */
void varlink_server_free(struct varlink_server *server);
DEFINE_CLEANUP(struct varlink_server *, varlink_server_free);
/*
 * The interface must outlive the server. 0, -ENOMEM, -EEXIST, or -EINVAL when its description can't be read
 * or does not hold one of its methods.
 */
int varlink_server_add_interface(struct varlink_server *server, const struct varlink_interface *interface);
/* Takes the listening descriptor (CLOEXEC, NONBLOCK), also when it fails. 0 or -ENOMEM. */
int varlink_server_listen(struct varlink_server *server, int fd);
/* Takes a connected descriptor as one more client (a socketpair to a child), also when it fails. 0 or -errno
 * (-EUSERS: too many clients). */
int varlink_server_add_connection(struct varlink_server *server, int fd);
/* Who is an operator has changed: clients that no longer are one are cut off, with their streams. */
void varlink_server_check_operators(struct varlink_server *server);
void varlink_server_get_counters(const struct varlink_server *server,
				 struct varlink_server_counters *ret_counters);

struct varlink_call *varlink_call_ref(struct varlink_call *call);
/* The last reference to a call that was never answered answers it: Failed. */
void varlink_call_unref(struct varlink_call *call);
DEFINE_CLEANUP(struct varlink_call *, varlink_call_unref);
/* It wants no answer: it goes on without its client. */
bool varlink_call_is_oneway(const struct varlink_call *call);
bool varlink_call_wants_more(const struct varlink_call *call);
/* The client has gone, or the call has been answered in full. */
bool varlink_call_is_closed(const struct varlink_call *call);
uid_t varlink_call_peer_uid(const struct varlink_call *call);
/* Whether the client may call privileged methods. */
bool varlink_call_is_privileged(const struct varlink_call *call);
/* Bytes queued to the client and not yet taken: a stream that grows past its bound is the method's to thin
 * out; past max_output the client is cut off. */
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
