/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The Tail method: sends every new message to each client once it is in the spool. Each client has its own
 * reader and reads the spool at its own pace, so a slow client holds up nobody and costs no memory; if
 * segments are removed before it reaches them, it gets a message with the number that it missed.
 */

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct tail;
struct varlink_call;

/* The directory's name is copied; the directory may appear later. 0 or -ENOMEM. */
int tail_new(struct event_base *base, const char *spool_directory, struct tail **ret_tail);
/* Ends the calls, with the error Stopping. */
void tail_free(struct tail *tail);

/* Answers the call with messages after this sequence, until its client disconnects. 0 or -errno
 * (nothing answered). */
int tail_add(struct tail *tail, struct varlink_call *call, uint64_t after_sequence);
/* Messages up to this sequence are in the spool. */
void tail_wake(struct tail *tail, uint64_t sequence);
size_t tail_clients(const struct tail *tail);
/* Messages removed from the spool before a client reached them. */
uint64_t tail_dropped(const struct tail *tail);
