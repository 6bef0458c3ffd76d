/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A fake daemon in a thread: the real server and the real interface, with answers from a table, which are
 * checked against the interface's description.
 */

#include <jansson.h>

struct fake_daemon;

struct fake_answer {
	const char *method;	/* without the interface */
	const char *parameters; /* JSON in single quotes; several lines: a stream, one reply each */
	const char *error;	/* in full; NULL: a reply */
};

/* Starts it; the answers must outlive it. */
struct fake_daemon *fake_daemon_start(const struct fake_answer *answers, size_t n_answers);
/* From now on, replies need not be complete. */
void fake_daemon_unchecked(struct fake_daemon *daemon);
const char *fake_daemon_socket(const struct fake_daemon *daemon);
/* Ends it and removes the socket. Returns the requests, [{"method":..., "parameters":...}, ...]. */
json_t *fake_daemon_stop(struct fake_daemon *daemon);
