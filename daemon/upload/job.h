/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Work that may block (a disk, perhaps one over a network), on a thread of its own, one piece at a time. The
 * loop is told of its end by an event; nothing ever waits for a thread.
 */

struct event_base;
struct job;

struct job_ops {
	/* On the thread. Its result is handed to done(). */
	int (*work)(void *state);
	/* On the loop; never after job_free(). */
	void (*done)(int result, void *userdata);
	/* On either, once neither needs the state any more. Not when job_new() has failed: it is the caller's
	 * then. */
	void (*release)(void *state);
};

/* The thread is started by the first job_start(). 0 or -errno. */
int job_new(struct event_base *base, const struct job_ops *ops, void *state, void *userdata,
	    struct job **ret_job);
/* Starts one piece of work; the last one must be done. Until done() only the thread may touch the state.
 * 0 or -errno. */
int job_start(struct job *job);
/* Leaves work that is under way to itself. */
void job_free(struct job *job);
