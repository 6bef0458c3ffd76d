/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What every thread needs: no signals, a name, and waits that a clock step can't prolong. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Starts a thread that receives no signals, since they are for the loop. name: at most 15 characters. stack:
 * bytes, 0 for the default. 0 or -errno.
 */
int thread_start(pthread_t *ret_thread, const char *name, size_t stack, void *(*run)(void *userdata),
		 void *userdata);

/* A condition for thread_wait_until(). 0 or -errno. */
int thread_condition_init(pthread_cond_t *condition);
/* Waits for the condition until a time of thread_now() (INT64_MAX: forever); false once that time has come.
 */
bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t at);
/* CLOCK_MONOTONIC in ns. */
int64_t thread_now(void);
