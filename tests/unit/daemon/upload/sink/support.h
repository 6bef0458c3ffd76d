/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the tests of sink/ share: a directory for each with a spool in it, and a clock moved by hand. */

#include "common/clock.h"
#include "daemon/upload/sink/host.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <stdint.h>

#define SECOND INT64_C(1000000000)

/* Of the test that runs. */
extern char directory[SCRATCH_MAX];
extern int upload_fd, spool_fd;
extern int64_t boot_now; /* what the clock says; wall time is WALL_START later */
extern int64_t next_run; /* boot time at which the sink wants to run; -1: not at all */

#define WALL_START (INT64_C(1700000000) * SECOND)

extern const struct clock test_clock;
extern const struct sink_host_ops test_host;

/* An empty directory, and no spool in it yet. */
void make_directory(void);
void remove_directory(void);
/* Writes n more messages, in a segment of their own; makes the spool the first time. */
void fill(int n);
/* The same, every third of 1000 bytes more, which are compressed. */
void fill_padded(int n);
/* Changes a byte of a message, counted from 1, on disk. It must not be compressed. */
void damage_message(int number);

/* A case, and main's exit status after it. What its tests leave behind is removed, even when they fail. */
TCase *make_case(const char *name);
int run_case(TCase *tcase);
