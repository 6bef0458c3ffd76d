/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The Tail method: every message as it comes, to every client that asked, once it is in the spool. Each
 * client reads the spool at its own pace through a reader of its own, so a slow one holds up nobody and costs
 * no memory; one that is so slow that segments are removed before it comes to them is told how much it
 * missed.
 */

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct tail;
struct varlink_call;

/* The directory's name is copied; it need not be there yet. 0 or -ENOMEM. */
int tail_new(struct event_base *base, const char *spool_directory, struct tail **ret_tail);
/* Ends the calls. */
void tail_free(struct tail *tail);

/* Answers the call with messages after this sequence, until its client goes. 0 or -errno
 * (nothing answered). */
int tail_add(struct tail *tail, struct varlink_call *call, uint64_t after_sequence);
/* Messages up to this sequence are in the spool. */
void tail_wake(struct tail *tail, uint64_t sequence);
size_t tail_clients(const struct tail *tail);
/* Messages that were removed from the spool before a client came to them. */
uint64_t tail_dropped(const struct tail *tail);
