/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The daemon's end of the form in which netlogd-tailscale hands on what it reads (daemon/tailscale/form.h):
 * lines in whatever pieces they arrive become nodes. The helper is our own, but it parses what comes from
 * elsewhere, so nothing that it says is taken on trust.
 */

#include "common/buffer.h"
#include "daemon/device/tailscale/nodes.h"

#include <stdbool.h>
#include <stdint.h>

struct tailscale_reading;

/* The end of a reading. Texts are borrowed. */
struct tailscale_result {
	uint64_t number; /* of the request; 0: nobody asked */
	int64_t took_ms;
	const char *problem; /* NULL: it is complete; else a word, with a reason for people */
	const char *reason;
	bool absent;	     /* nobody listens on the API's socket */
	const char *server;  /* which tailscaled it is */
	const char *state;   /* of its backend: "Running"; "" if it does not say */
	const char *version; /* "" if it does not say */
	uint64_t skipped;    /* peers that made no sense, or were too many */
};

/* nodes: borrowed. ended: called in tailscale_reading_feed(). 0 or -ENOMEM. */
int tailscale_reading_new(struct tailscale_nodes *nodes,
			  void (*ended)(const struct tailscale_result *result, void *userdata),
			  void *userdata, struct tailscale_reading **ret_reading);
void tailscale_reading_free(struct tailscale_reading *reading);
DEFINE_CLEANUP(struct tailscale_reading *, tailscale_reading_free);

/*
 * Takes the next bytes. 0; -EBADMSG for what is not of the form, -EMSGSIZE for a line beyond
 * TAILSCALE_LINE_MAX, -EPROTONOSUPPORT for another version of the form, -ENOMEM: then it is of no use any
 * more until tailscale_reading_restart().
 */
int tailscale_reading_feed(struct tailscale_reading *reading, const char *data, size_t n);
/* What comes next is of another helper, which begins with a whole reading. */
void tailscale_reading_restart(struct tailscale_reading *reading);
/* A number that is another one whenever a node has come, gone, or is described otherwise. */
uint64_t tailscale_reading_identities(const struct tailscale_reading *reading);
