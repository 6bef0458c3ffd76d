-- SPDX-License-Identifier: BSD-3-Clause
-- netlogd's tables for ClickHouse servers from before 2020, such as Debian's 18.16: no IPv6, DateTime64, CODEC
-- or TTL there, and DEFAULT expressions are not evaluated for members that JSON leaves out. Takes the same rows.
--
--   clickhouse-client --multiquery < old.sql
--
-- Times and addresses are text; query by the MATERIALIZED columns. Remove old data by hand:
--   ALTER TABLE netlogd.flows DROP PARTITION '2026-01-31'

CREATE DATABASE IF NOT EXISTS netlogd;

CREATE TABLE IF NOT EXISTS netlogd.flows
(
    node      String,
    start     String,
    end       String,
    spool     String,
    seq       UInt64,
    idx       UInt32,
    proc_id   UInt32,
    proc_seq  UInt64,
    class     Enum8('virtual' = 1, 'subnet' = 2, 'exit' = 3, 'physical' = 4),
    proto     UInt8,
    src       String,
    src_port  UInt16,
    dst       String,
    dst_port  UInt16,
    src_node  String,
    dst_node  String,
    tx_pkts   UInt64,
    tx_bytes  UInt64,
    rx_pkts   UInt64,
    rx_bytes  UInt64,
    init      Enum8('unknown' = 0, 'src' = 1, 'dst' = 2),
    starts    UInt32,
    ends      UInt32,
    tx_flags  UInt8,
    rx_flags  UInt8,
    tx_drops  UInt32,
    rx_drops  UInt32,
    drop_reason String,
    start_time DateTime MATERIALIZED toDateTime(substring(start, 1, 19), 'UTC'),
    day        Date MATERIALIZED toDate(substring(start, 1, 10)),
    src_ip     FixedString(16) MATERIALIZED IPv6StringToNum(src),
    dst_ip     FixedString(16) MATERIALIZED IPv6StringToNum(dst)
)
ENGINE = ReplacingMergeTree
PARTITION BY day
ORDER BY (node, start, spool, seq, idx);

CREATE TABLE IF NOT EXISTS netlogd.flows_events
(
    node      String,
    time      String,
    spool     String,
    seq       UInt64,
    idx       UInt32,
    proc_id   UInt32,
    proc_seq  UInt64,
    kind      String,
    text      String,
    tx_pkts   UInt64,
    tx_bytes  UInt64,
    rx_pkts   UInt64,
    rx_bytes  UInt64,
    day       Date MATERIALIZED toDate(substring(time, 1, 10))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (node, time, spool, seq, idx);
