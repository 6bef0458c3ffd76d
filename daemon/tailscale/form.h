/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What netlogd-tailscale and the daemon say to each other, over a pair of sockets. The daemon asks for a
 * reading with a line "read N\n", where N counts up from 1. The helper answers with lines of JSON that hold
 * only what has changed since its last reading:
 *
 *   {"begin":N,"form":1,"server":"812-26-4711","whole":true}
 *   {"node":3,"key":"nodekey:<hex>","id":"n123","name":"gate.tail1234.ts.net","os":"linux","user":"...",
 *    "tags":["tag:a"],"addresses":["100.64.0.2"],"allowedIPs":["100.64.0.2/32"]}
 *   {"counts":3,"tx":1,"rx":2,"path":"derp","endpoint":"127.3.3.40:4","via":"fra","region":4,
 *    "handshake":1665692589644000000,"seen":1665692589644000000}
 *   {"gone":4}
 *   {"end":N,"ms":12,"state":"Running","version":"1.98.8","skipped":0}
 *
 * or with {"failed":N,"ms":12,"problem":"absent","reason":"..."}, where "ms" is how long it took. N is 0 for
 * a reading that nobody asked for: the API has told of a change. "node" is a number that stands for one node
 * key as long as the helper runs, and comes again whenever one of its members has changed; members that are
 * empty or unknown are left out. The node itself has "self":true and no counts. "whole": all other nodes are
 * gone. "server" tells one run of tailscaled from the next. Times are wall clock, in ns.
 */

#define TAILSCALE_FORM 1

#define TAILSCALE_ANSWER_MAX	  (64 * 1024 * 1024) /* bytes of an answer of the API */
#define TAILSCALE_PEERS_MAX	  65536
#define TAILSCALE_SLOTS_MAX	  (4 * TAILSCALE_PEERS_MAX) /* numbers of nodes; the last is the node itself */
#define TAILSCALE_TEXT_MAX	  256			    /* bytes of any text */
#define TAILSCALE_ADDRESSES_MAX	  64			    /* of a node */
#define TAILSCALE_TAGS_MAX	  64
#define TAILSCALE_ALLOWED_IPS_MAX 16384
#define TAILSCALE_LINE_MAX	  (1024 * 1024)
