-- SPDX-License-Identifier: BSD-3-Clause
-- Adds what the tables of an older single.sql lack: the details of connections (who opened them, how they ended, what
-- was thrown away). May be run again, and while rows arrive. Rows that are there keep their values; their details are
-- unknown.
--
--   clickhouse-client --multiquery < migrate.sql

ALTER TABLE netlogd.flows
    ADD COLUMN IF NOT EXISTS init Enum8('unknown' = 0, 'src' = 1, 'dst' = 2)
        COMMENT 'which end opened the connection' CODEC(ZSTD(1)) AFTER rx_bytes,
    ADD COLUMN IF NOT EXISTS starts UInt32
        COMMENT 'connections that began in the window' CODEC(T64, ZSTD(1)) AFTER init,
    ADD COLUMN IF NOT EXISTS ends UInt32
        COMMENT 'connections that ended in the window' CODEC(T64, ZSTD(1)) AFTER starts,
    ADD COLUMN IF NOT EXISTS tx_flags UInt8
        COMMENT 'TCP flags sent, as in RFC 9565: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32' CODEC(ZSTD(1)) AFTER ends,
    ADD COLUMN IF NOT EXISTS rx_flags UInt8
        COMMENT 'TCP flags received' CODEC(ZSTD(1)) AFTER tx_flags,
    ADD COLUMN IF NOT EXISTS tx_drops UInt32
        COMMENT 'packets that the kernel threw away before they left' CODEC(T64, ZSTD(1)) AFTER rx_flags,
    ADD COLUMN IF NOT EXISTS rx_drops UInt32
        COMMENT 'received packets that the kernel threw away' CODEC(T64, ZSTD(1)) AFTER tx_drops,
    ADD COLUMN IF NOT EXISTS drop_reason LowCardinality(String)
        COMMENT 'of most of these, by the kernel''s name' AFTER rx_drops;
