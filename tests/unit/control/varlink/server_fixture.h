/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A server with methods of every behaviour, and clients that are bare sockets on the same loop, so that they
 * can send anything.
 */

#include "common/worker.h"
#include "control/varlink/codec.h"
#include "control/varlink/server.h"
#include "tests/unit/control/support.h"

#include <sys/socket.h>
#include <sys/un.h>

extern const char test_description[];
extern const struct varlink_interface test_interface;

struct fixture {
	struct event_base *base;
	struct worker *worker; /* for large messages */
	struct varlink_server *server;
	struct varlink_call *kept; /* of Later or Stream */
	unsigned int n_kept, n_closed;
	json_t *order;	/* texts of Echo, as they were run */
	bool operators; /* all clients are */
};

/* settings may be NULL; identity and permissions are filled in. */
void fixture_init(struct fixture *f, const struct varlink_server_options *settings);
void fixture_deinit(struct fixture *f);
struct varlink_server_counters counters(struct fixture *f);

struct peer {
	struct fixture *f;
	int fd;
	struct event *event;
	struct varlink_decoder decoder;
	bool eof;
};

/* Takes a connected descriptor; data is read as the loop turns. */
void peer_init(struct peer *peer, struct fixture *f, int fd);
void peer_connect(struct peer *peer, struct fixture *f);
void peer_close(struct peer *peer);
void peer_send_bytes(struct peer *peer, const char *data, size_t n);
/* A request in single quotes, with its NUL. */
void peer_send(struct peer *peer, const char *request);
/* Turns the loop until there is a message; fails when cut off. */
json_t *peer_receive(struct peer *peer);
/* Sends, and asserts the answer. */
void expect(struct peer *peer, const char *request, const char *answer);
/* Asserts that the server closes the connection without another message. */
void expect_cut_off(struct peer *peer);

#define SAY(text)    "{'method':'org.example.test.Echo','parameters':{'text':'" text "'}}"
#define SAID(text)   "{'parameters':{'text':'" text "'}}"
#define METHOD(name) "{'method':'org.example.test." name "'}"
#define PARAMETER(name)                                                                                      \
	"{'error':'org.varlink.service.InvalidParameter','parameters':{'parameter':'" name "'}}"
