/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A message as rows of a database, in JSONEachRow: one row per entry, and what is no entry (texts, losses,
 * overflow) for a table of events. Every row carries node, spool, seq and idx: the same row of a batch that
 * comes twice can be told by them.
 */

#include "common/buffer.h"
#include "common/log_id.h"
#include "daemon/upload/sink/kind.h"

#include <stddef.h>

/* idx in the table of events, so that each row of a message has another. */
enum clickhouse_event {
	CLICKHOUSE_EVENT_TEXT = 0, /* what the message itself says */
	CLICKHOUSE_EVENT_LOSS = 1, /* what is missing before it */
	CLICKHOUSE_EVENT_OVERFLOW_TUN = 2,
	CLICKHOUSE_EVENT_OVERFLOW_SOCK = 3,
};

struct clickhouse_rows {
	struct buffer flows;
	size_t n_flows;
	struct buffer events;
	size_t n_events;
	struct buffer head; /* what all rows of a message begin with */
};

void clickhouse_rows_deinit(struct clickhouse_rows *rows);
void clickhouse_rows_reset(struct clickhouse_rows *rows);
/*
 * Appends the rows of a message. public_id: names the node where the message has no nodeId. 0, -ENOMEM, or
 * -EBADMSG when it is no message of ours; after an error the rows are to be reset.
 */
int clickhouse_rows_add(struct clickhouse_rows *rows, const struct batch_item *item, const char *spool_id,
			const struct log_id *public_id);
