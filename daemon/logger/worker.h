/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A thread for work that may block, so that the loop never does. Jobs run one at a time, in the order in
 * which they were posted; each may have a second half that runs on the loop when the first is done. Between
 * jobs the thread also waits for descriptors that its jobs asked it to watch.
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct worker;

#define WORKER_QUEUE_MAX 1024 /* jobs that may wait */
#define WORKER_WATCH_MAX 4

typedef void (*worker_fn)(void *data);

/* The name is the thread's, at most 15 characters. 0 or -errno. */
int worker_new(struct event_base *base, const char *name, struct worker **ret_worker);
/* Runs the jobs that wait, ends the thread, and runs their second halves. */
void worker_free(struct worker *worker);

/*
 * Has run(data) called on the thread and then done(data), if not NULL, on the loop. 0, -ENOMEM, or -EAGAIN
 * when too many wait. From the loop only.
 */
int worker_post(struct worker *worker, worker_fn run, worker_fn done, void *data);
/* Jobs posted whose second half has not run yet. */
size_t worker_pending(const struct worker *worker);
/* Runs second halves until nothing is pending; for an orderly end. */
void worker_drain(struct worker *worker);

/*
 * From a job: calls readable(data) on the thread whenever the descriptor (borrowed) is readable; it must make
 * it unreadable or unwatch it. 0 or -ENOSPC.
 */
int worker_watch(struct worker *worker, int fd, worker_fn readable, void *data);
void worker_unwatch(struct worker *worker, int fd);
