/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A message as database rows, in JSONEachRow: one row per entry, and everything else (texts, losses,
 * overflow) for a table of events. Every row carries node, spool, seq and idx, which identify the duplicates
 * of a batch that arrives twice.
 */

#include "common/buffer.h"
#include "common/log_id.h"
#include "daemon/upload/sink/kind.h"

#include <stdbool.h>
#include <stddef.h>

/* idx in the table of events: distinct for each row of a message. */
enum clickhouse_event {
	CLICKHOUSE_EVENT_TEXT = 0, /* of the message itself */
	CLICKHOUSE_EVENT_LOSS = 1, /* before it */
	CLICKHOUSE_EVENT_OVERFLOW_TUN = 2,
	CLICKHOUSE_EVENT_OVERFLOW_SOCK = 3,
};

/* The columns that rows may have values for, NULL-terminated. */
#define CLICKHOUSE_COLUMNS_MAX 32
extern const char *const clickhouse_flow_columns[];
/* More of them, for the details of flows, which older tables do not have. */
#define CLICKHOUSE_DETAILS_MAX 8
extern const char *const clickhouse_detail_columns[];
extern const char *const clickhouse_event_columns[];

struct clickhouse_rows {
	struct buffer flows;
	size_t n_flows;
	bool has_details; /* a flow has values for the detail columns */
	struct buffer events;
	size_t n_events;
	struct buffer head; /* the beginning of all rows of a message */
};

void clickhouse_rows_deinit(struct clickhouse_rows *rows);
void clickhouse_rows_reset(struct clickhouse_rows *rows);
/*
 * Appends the rows of a message. public_id: names the node if the message has no nodeId. 0, -ENOMEM, or
 * -EBADMSG for anything but a message of ours; after an error the rows must be reset.
 */
int clickhouse_rows_add(struct clickhouse_rows *rows, const struct batch_item *item, const char *spool_id,
			const struct log_id *public_id);
