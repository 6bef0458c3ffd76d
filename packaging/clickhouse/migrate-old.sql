-- SPDX-License-Identifier: BSD-3-Clause
-- Adds what the tables of an older old.sql lack: the details of connections (who opened them, how they ended, what was
-- thrown away). Rows that are there keep their values; their details are unknown.
--
--   clickhouse-client --multiquery --ignore-error < migrate-old.sql
--
-- Such servers do not know IF NOT EXISTS here. Run again, each statement fails with code 44, "column with this name
-- already exists", and changes nothing; --ignore-error lets the others run.

ALTER TABLE netlogd.flows ADD COLUMN init Enum8('unknown' = 0, 'src' = 1, 'dst' = 2) AFTER rx_bytes;
ALTER TABLE netlogd.flows ADD COLUMN starts UInt32 AFTER init;
ALTER TABLE netlogd.flows ADD COLUMN ends UInt32 AFTER starts;
ALTER TABLE netlogd.flows ADD COLUMN tx_flags UInt8 AFTER ends;
ALTER TABLE netlogd.flows ADD COLUMN rx_flags UInt8 AFTER tx_flags;
ALTER TABLE netlogd.flows ADD COLUMN tx_drops UInt32 AFTER rx_flags;
ALTER TABLE netlogd.flows ADD COLUMN rx_drops UInt32 AFTER tx_drops;
ALTER TABLE netlogd.flows ADD COLUMN drop_reason String AFTER rx_drops;
