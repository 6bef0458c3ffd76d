/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The kinds of sinks there are. */

#include "daemon/upload/sink/kind.h"

extern const struct sink_ops sink_logtail_ops;
extern const struct sink_ops sink_file_ops;
extern const struct sink_ops sink_clickhouse_ops;
