#pragma once

/*
 * Work that may block (a disk, perhaps one over a network), on a thread of its own, one piece at a time. The
 * loop is told of its end by an event; nothing ever waits for a thread.
 */

struct event_base;
struct job;

/*
 * work: on the thread; returns a result. done: on the loop, with that result; not called after job_free().
 * release: whenever neither needs state any more, on either; also when job_new() fails it is not called.
 */
struct job_ops {
	int (*work)(void *state);
	void (*done)(int result, void *userdata);
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
