/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What an answer of a log collector looks like. Tailscale's log service answers in JSON
 * (tailscale/logtail/api.md: "JSON-encoded responses using standard HTTP response codes"), and to messages
 * that it takes with nothing at all; small collectors say a word or a line. A web page or a portal's greeting
 * is none of these, whatever its status; and a gateway may send on an error with a status of success.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the body of an answer with a status of success is that of a collector that took the messages:
 * nothing; JSON values, one or one a line, that tell of no failure (an error, success false, a status
 * from 400, a word); or one line of printable ASCII, a word or with a word of acceptance in it, and none of
 * failure.
 */
bool logtail_is_answer(const char *body, size_t n);
