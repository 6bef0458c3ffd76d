/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Runs checks in a child that is confined as the uploader is. */

#include "tests/unit/scratch.h"

struct config;

/* Holds upload/, spool/ and other/, with a file in each. */
extern char sandbox_directory[SCRATCH_MAX];
#define SANDBOX_PATH_MAX (SCRATCH_MAX + 16)

void sandbox_setup(void);
/* A configuration of these directories; the texts must have SANDBOX_PATH_MAX bytes. */
void sandbox_make_config(struct config *config, char *upload, char *spool, char *file);
/* Runs a check in a confined child: its exit status, or 256 + the signal that ended it. */
int sandbox_confined(int (*check)(void));
