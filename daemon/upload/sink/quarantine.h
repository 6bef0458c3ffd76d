/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Messages that a server refuses for what they are: kept for a person to inspect, within a limit, and out of
 * the stream's way. */

#include "common/spool/reader.h"

#include <stdint.h>

/*
 * Writes a message into the sink's quarantine/, durably; removes the oldest ones when it would hold more than
 * max bytes. Each is a file of its own, named by its sequence and its spool. 0; -EFBIG for a message larger
 * than max; or -errno.
 */
int quarantine_add(int directory_fd, const struct spool_message *message, uint64_t max);
