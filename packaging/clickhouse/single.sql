-- SPDX-License-Identifier: BSD-3-Clause
-- netlogd's tables for one ClickHouse server (tried with 26.7; needs 24.10 or newer).
--
--   clickhouse-client --multiquery < single.sql
--
-- [upload clickhouse] database=netlogd table=flows. Events go to the table of that name with _events.

CREATE DATABASE IF NOT EXISTS netlogd;

-- One row per entry of a message. (node, spool, seq, idx) identifies a row for ever: a batch that arrives twice
-- has the same rows again, which the engine merges; until then FINAL hides them.
CREATE TABLE IF NOT EXISTS netlogd.flows
(
    node      LowCardinality(String) COMMENT 'nodeId, or the public log ID',
    start     DateTime64(9, 'UTC') COMMENT 'of the window, inclusive' CODEC(Delta, ZSTD(1)),
    end       DateTime64(9, 'UTC') COMMENT 'of the window, inclusive' CODEC(Delta, ZSTD(1)),
    spool     LowCardinality(String) COMMENT 'id of the node''s spool',
    seq       UInt64 COMMENT 'of the message in that spool' CODEC(Delta, ZSTD(1)),
    idx       UInt32 COMMENT 'of the entry in the message' CODEC(Delta, ZSTD(1)),
    proc_id   UInt32 COMMENT 'run of the daemon' CODEC(ZSTD(1)),
    proc_seq  UInt64 COMMENT 'of the message in that run: 1, 2, 3 ...' CODEC(Delta, ZSTD(1)),
    class     Enum8('virtual' = 1, 'subnet' = 2, 'exit' = 3, 'physical' = 4) CODEC(ZSTD(1)),
    proto     UInt8 COMMENT 'IANA number; 0 unknown, 255 later fragments' CODEC(ZSTD(1)),
    src       IPv6 COMMENT 'the node''s side; :: none; IPv4 as ::ffff:a.b.c.d' CODEC(ZSTD(1)),
    src_port  UInt16 CODEC(ZSTD(1)),
    dst       IPv6 CODEC(ZSTD(1)),
    dst_port  UInt16 CODEC(ZSTD(1)),
    src_node  LowCardinality(String) COMMENT 'name of the node, where the message has it',
    dst_node  LowCardinality(String),
    tx_pkts   UInt64 CODEC(T64, ZSTD(1)),
    tx_bytes  UInt64 CODEC(T64, ZSTD(1)),
    rx_pkts   UInt64 CODEC(T64, ZSTD(1)),
    rx_bytes  UInt64 CODEC(T64, ZSTD(1)),
    init      Enum8('unknown' = 0, 'src' = 1, 'dst' = 2) COMMENT 'which end opened the connection' CODEC(ZSTD(1)),
    starts    UInt32 COMMENT 'connections that began in the window' CODEC(T64, ZSTD(1)),
    ends      UInt32 COMMENT 'connections that ended in the window' CODEC(T64, ZSTD(1)),
    tx_flags  UInt8 COMMENT 'TCP flags sent, as in RFC 9565: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32' CODEC(ZSTD(1)),
    rx_flags  UInt8 COMMENT 'TCP flags received' CODEC(ZSTD(1)),
    tx_drops  UInt32 COMMENT 'packets that the kernel threw away before they left' CODEC(T64, ZSTD(1)),
    rx_drops  UInt32 COMMENT 'received packets that the kernel threw away' CODEC(T64, ZSTD(1)),
    drop_reason LowCardinality(String) COMMENT 'of most of these, by the kernel''s name',
    stored    DateTime('UTC') DEFAULT now() COMMENT 'when it arrived here' CODEC(Delta, ZSTD(1)),
    INDEX src_filter src TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX dst_filter dst TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX stored_range stored TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(start)
ORDER BY (node, start, spool, seq, idx)
TTL toDateTime(start) + INTERVAL 90 DAY DELETE
SETTINGS fsync_after_insert = 1, non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

-- Events: texts (started, stopped, clock stepped ...), losses, overflow, heartbeats.
CREATE TABLE IF NOT EXISTS netlogd.flows_events
(
    node      LowCardinality(String),
    time      DateTime64(9, 'UTC') COMMENT 'when the message was made' CODEC(Delta, ZSTD(1)),
    spool     LowCardinality(String),
    seq       UInt64 CODEC(Delta, ZSTD(1)),
    idx       UInt32 COMMENT '0 the text, 1 a loss before the message, 2 and 3 overflow' CODEC(ZSTD(1)),
    proc_id   UInt32 CODEC(ZSTD(1)),
    proc_seq  UInt64 COMMENT '0 for losses, which have none' CODEC(Delta, ZSTD(1)),
    kind      LowCardinality(String) COMMENT 'text, loss, overflow or empty',
    text      String CODEC(ZSTD(1)),
    tx_pkts   UInt64 CODEC(ZSTD(1)),
    tx_bytes  UInt64 CODEC(ZSTD(1)),
    rx_pkts   UInt64 CODEC(ZSTD(1)),
    rx_bytes  UInt64 CODEC(ZSTD(1)),
    stored    DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (node, time, spool, seq, idx)
TTL toDateTime(time) + INTERVAL 400 DAY DELETE
SETTINGS fsync_after_insert = 1, non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

-- Sums per minute, for dashboards. An incremental view would count a repeated batch twice. This one is recomputed
-- from rows without duplicates for each minute that got rows lately; the newest computation of a minute counts
-- (FINAL).
CREATE TABLE IF NOT EXISTS netlogd.flows_minute
(
    node      LowCardinality(String),
    minute    DateTime('UTC') CODEC(Delta, ZSTD(1)),
    class     Enum8('virtual' = 1, 'subnet' = 2, 'exit' = 3, 'physical' = 4),
    src       IPv6 CODEC(ZSTD(1)),
    dst       IPv6 CODEC(ZSTD(1)),
    tx_pkts   UInt64 CODEC(T64, ZSTD(1)),
    tx_bytes  UInt64 CODEC(T64, ZSTD(1)),
    rx_pkts   UInt64 CODEC(T64, ZSTD(1)),
    rx_bytes  UInt64 CODEC(T64, ZSTD(1)),
    computed  DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed)
PARTITION BY toYYYYMM(minute)
ORDER BY (node, minute, class, src, dst)
TTL minute + INTERVAL 400 DAY DELETE;

CREATE MATERIALIZED VIEW IF NOT EXISTS netlogd.flows_minute_refresh
REFRESH EVERY 1 MINUTE APPEND TO netlogd.flows_minute
AS SELECT
    node,
    toStartOfMinute(toDateTime(start)) AS minute,
    class,
    src,
    dst,
    sum(tx_pkts) AS tx_pkts,
    sum(tx_bytes) AS tx_bytes,
    sum(rx_pkts) AS rx_pkts,
    sum(rx_bytes) AS rx_bytes,
    now64(3) AS computed
FROM netlogd.flows FINAL
WHERE (node, toStartOfMinute(toDateTime(start))) IN
(
    SELECT DISTINCT node, toStartOfMinute(toDateTime(start))
    FROM netlogd.flows
    WHERE stored >= now() - INTERVAL 10 MINUTE
)
GROUP BY node, minute, class, src, dst;
