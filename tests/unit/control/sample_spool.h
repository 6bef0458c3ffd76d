/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A spool with four messages, made by the real writer: two windows, a text, and a third window. */

#include "tests/unit/control/run_line.h"
#include "tests/unit/scratch.h"

#define SAMPLE_SPOOL_MESSAGES 4

/* In the order of the spool, in single quotes (json_of). */
extern const char *const sample_spool_messages[SAMPLE_SPOOL_MESSAGES];

/*
 * Two windows with details: a client's connection in both, from a port below the service's; one that is
 * refused in the second; one of ours that is refused at once; a datagram that was dropped.
 */
#define SAMPLE_SPOOL_DETAILS 2
extern const char *const sample_spool_details[SAMPLE_SPOOL_DETAILS];

struct sample_spool {
	char directory[SCRATCH_MAX], spool[SCRATCH_MAX + 8], upload[SCRATCH_MAX + 8];
};

struct sample_spool sample_spool_make(void);
/* The same with other messages. */
struct sample_spool sample_spool_make_of(const char *const *messages, size_t n);
void sample_spool_remove(const struct sample_spool *place);

/* Runs a command on that spool. */
struct run sample_spool_run(const struct sample_spool *place, const char *line);
/* Asserts that a command prints exactly these messages, as lines. messages: bit 0 is the first. */
void assert_lines(const struct sample_spool *place, const char *line, unsigned int messages);
