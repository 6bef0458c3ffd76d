/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A thread for work that may block, so that the loop never does. Jobs run one at a time, in the order in
 * which they were posted; each may have a second half that runs on the loop once the first has returned.
 * Between jobs the thread also waits for the descriptors that jobs asked it to watch.
 *
 * An owner ends a worker in one of two ways: worker_free() waits for the jobs, worker_abandon() waits for
 * nothing, since a job may hang forever on a dead disk.
 */

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct worker;

#define WORKER_QUEUE_MAX 1024 /* jobs that may wait */
#define WORKER_WATCH_MAX 4

typedef void (*worker_fn)(void *data);

/*
 * name: the thread's, at most 15 characters. stack: bytes, 0 for the default. Second halves run before all
 * other events of the loop (priority 0). 0 or -errno.
 */
int worker_new(struct event_base *base, const char *name, size_t stack, struct worker **ret_worker);
/* Runs the jobs that wait, ends the thread, and runs their second halves. */
void worker_free(struct worker *worker);
/*
 * Lets go at once. A job under way runs to its end, those that wait never run, and no second half does.
 * release(data) is called when no job uses what they share any more: by the thread, or here if worker is
 * NULL. Allowed in a second half when nothing else is pending.
 */
void worker_abandon(struct worker *worker, worker_fn release, void *data);

/*
 * Calls run(data) on the thread, then done(data), if not NULL, on the loop. 0, -ENOMEM, or -EAGAIN when too
 * many jobs wait. Only from the loop.
 */
int worker_post(struct worker *worker, worker_fn run, worker_fn done, void *data);
/* Jobs posted whose second half has not run yet. */
size_t worker_pending(const struct worker *worker);
/* Runs second halves until nothing is pending. */
void worker_drain(struct worker *worker);
/* Likewise, but not for longer than this. 0 or -ETIMEDOUT: jobs are left. */
int worker_drain_within(struct worker *worker, int timeout_ms);

/*
 * Only from a job: calls readable(data) on the thread whenever the descriptor (borrowed) is readable;
 * readable() must make it unreadable or unwatch it. pause (ns, up to a second; 0: none): what comes so soon
 * after a call waits until then, so that thousands of small things in a second do not wake the thread for
 * each. 0 or -ENOSPC.
 */
int worker_watch(struct worker *worker, int fd, int64_t pause, worker_fn readable, void *data);
void worker_unwatch(struct worker *worker, int fd);
