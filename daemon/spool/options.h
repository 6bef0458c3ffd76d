/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A copy of the spool writer's settings that owns what it points to. */

#include "common/cleanup.h"
#include "daemon/spool/writer.h"

/* With the defaults filled in. 0 or -ENOMEM. The table of file calls is not copied. */
int spool_options_copy(const struct spool_writer_options *options, struct spool_writer_options **ret_copy);
void spool_options_free(struct spool_writer_options *options);
DEFINE_CLEANUP(struct spool_writer_options *, spool_options_free);
