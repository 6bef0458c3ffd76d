/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A Varlink server on a libevent loop: listeners, limits, the order of answers, permissions and
 * introspection.
 *
 * Requests on one connection are answered in order: the next one is handled when the current call has had its
 * last answer. Only "oneway" requests, which have no answer, run at once beside a stream ("more"), so that a
 * client can send on the connection on which it listens. The keeper of a call (varlink_call_ref) learns of
 * the client's end by on_closed.
 *
 * The server disconnects a client that sends an invalid request (a method's name has at most 1 KiB), more
 * than VARLINK_MESSAGE_MAX, more values in one message than any request needs, or nothing for a while in the
 * middle of a message, and a client that does not take its answers (too many queued, or none taken for a
 * while). A client may shut down its sending side and still gets its answers.
 *
 * A client's cost is bounded: in one turn of the loop it gets a few requests, and if it is not an operator a
 * few hundred a second; the rest waits in its socket.
 */

#include "common/cleanup.h"
#include "control/varlink/call.h"

struct event_base;
struct varlink_server;

/* Copies the options' texts by reference: they must outlive the server. 0 or -ENOMEM. */
int varlink_server_new(struct event_base *base, const struct varlink_server_options *options,
		       struct varlink_server **ret_server);
/*
 * Disconnects all clients. Keepers of open calls are told by on_closed; their references stay valid, and
 * answers to them are dropped.
 */
void varlink_server_free(struct varlink_server *server);
DEFINE_CLEANUP(struct varlink_server *, varlink_server_free);
/* Large messages that wait to be decoded are dropped from now on, with their clients, so that the end of the
 * worker waits for one at most. NULL is fine. */
void varlink_server_end(struct varlink_server *server);
/*
 * Its methods get the options' userdata. The interface must outlive the server. 0, -ENOMEM, -EEXIST, or
 * -EINVAL when its description is invalid or lacks one of its methods.
 */
int varlink_server_add_interface(struct varlink_server *server, const struct varlink_interface *interface);
/* Takes the listening descriptor (CLOEXEC, NONBLOCK), also when it fails. 0 or -ENOMEM. */
int varlink_server_listen(struct varlink_server *server, int fd);
/* Takes a connected descriptor as one more client (a socketpair to a child), also when it fails. 0 or -errno
 * (-EUSERS: too many clients; -EMFILE: only reserved descriptors are left). */
int varlink_server_add_connection(struct varlink_server *server, int fd);
/* The operators have changed: disconnects clients that no longer are operators, with their streams. */
void varlink_server_check_operators(struct varlink_server *server);
void varlink_server_get_counters(const struct varlink_server *server,
				 struct varlink_server_counters *ret_counters);
