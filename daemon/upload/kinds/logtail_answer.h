/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What an answer of a log collector looks like. Tailscale's log service answers in JSON
 * (tailscale/logtail/api.md: "JSON-encoded responses using standard HTTP response codes"), and to messages
 * that it takes with nothing at all; small collectors say a word such as "ok". A web page, a portal's or a
 * proxy's greeting is none of these, whatever its status.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the body of an answer with a status of success is a collector's: nothing, a JSON value (with no
 * "error" in it), or a single word.
 */
bool logtail_is_answer(const char *body, size_t n);
