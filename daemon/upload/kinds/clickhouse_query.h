/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Queries and the URLs that hold them. Errors stick to the buffers. */

#include "common/buffer.h"
#include "common/config/config.h"

/* The table of events is named after that of flows. */
#define CLICKHOUSE_EVENTS_SUFFIX "_events"

/* Percent-encoded. */
void clickhouse_query_escape(struct buffer *url, const char *text);
/* `database`.`table`, escaped; suffix: of the table's name. */
void clickhouse_query_table(struct buffer *query, const struct sink_config *config, const char *suffix);
/* database.table, for people. */
void clickhouse_query_table_text(struct buffer *text, const struct sink_config *config, const char *suffix);
/* The server's URL with a query, which it ends; parameters may follow. */
void clickhouse_query_url(struct buffer *url, const struct sink_config *config, struct buffer *query);
