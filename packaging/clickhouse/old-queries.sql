-- SPDX-License-Identifier: BSD-3-Clause
-- The queries of queries.sql, for the tables of old.sql. Such servers have no query parameters; insert the values:
--
--   sed "s/{from}/2026-01-31 00:00:00/; s/{to}/2026-01-31 12:00:00/" old-queries.sql
--
-- Times are text here and compare as text; `day` selects the partitions. Addresses are IPv6; IPv4 is ::ffff:a.b.c.d.

-- name: top talkers
-- Both directions, as the node saw them. Physical traffic is the same bytes once more, outside the tunnel.
SELECT node, src, dst, sum(tx_bytes + rx_bytes) AS bytes, sum(tx_pkts + rx_pkts) AS pkts
FROM netlogd.flows FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND start >= '{from}' AND start < '{to}' AND class != 'physical'
GROUP BY node, src, dst
ORDER BY bytes DESC, node, src, dst
LIMIT 20;

-- name: who reached a subnet
-- {first} and {last} are the ends of the subnet: ::ffff:10.1.0.0 and ::ffff:10.1.255.255. Connections that were opened
-- from within it are not among them; those of which the opener is unknown are.
SELECT node, if(dst_is_in, src, dst) AS who, if(dst_is_in, dst, src) AS whom, proto,
       if(dst_is_in, dst_port, src_port) AS port,
       min(start) AS first_seen, max(end) AS last_seen, sum(tx_bytes + rx_bytes) AS bytes
FROM
(
    SELECT node, src, dst, src_port, dst_port, proto, start, end, tx_bytes, rx_bytes, init,
           dst_ip >= IPv6StringToNum('{first}') AND dst_ip <= IPv6StringToNum('{last}') AS dst_is_in,
           src_ip >= IPv6StringToNum('{first}') AND src_ip <= IPv6StringToNum('{last}') AS src_is_in
    FROM netlogd.flows FINAL
    WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
      AND start >= '{from}' AND start < '{to}' AND class != 'physical'
)
WHERE (dst_is_in OR src_is_in) AND NOT if(dst_is_in, init = 'dst', init = 'src')
GROUP BY node, who, whom, proto, port
ORDER BY first_seen, node, who, whom, proto, port;

-- name: traffic matrix
-- What each node sent to each other node inside the tailnet: every node reports what it sent, so that nothing is
-- counted at both ends. A node without a name in any message is shown by its address.
SELECT node AS from_node, if(dst_node = '', dst, dst_node) AS to_node, sum(tx_bytes) AS bytes, sum(tx_pkts) AS pkts
FROM netlogd.flows FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND start >= '{from}' AND start < '{to}' AND class = 'virtual'
GROUP BY from_node, to_node
ORDER BY from_node, bytes DESC, to_node;

-- name: physical paths
-- The endpoints over which a node reached its peers, and when.
SELECT src AS peer, dst AS endpoint, dst_port AS port, min(start) AS first_seen, max(end) AS last_seen,
       sum(tx_bytes) AS sent, sum(rx_bytes) AS received
FROM netlogd.flows FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND start >= '{from}' AND start < '{to}' AND class = 'physical' AND node = '{node}'
GROUP BY peer, endpoint, port
ORDER BY peer, first_seen, endpoint, port;

-- name: gaps
-- As in queries.sql: if the day before {from} has nothing of a run, the run's first messages are checked too.
SELECT node, proc_id, before + 1 AS missing_from, proc_seq - 1 AS missing_to, proc_seq - before - 1 AS missing
FROM
(
    SELECT node, proc_id, arraySort(groupArray((proc_seq, made))) AS found,
           arrayMap(x -> x.1, found) AS seqs, arrayMap(x -> x.2, found) AS times,
           arrayConcat([toUInt64(0)], arrayPopBack(seqs)) AS befores
    FROM
    (
        SELECT node, proc_id, proc_seq, max(at) AS made
        FROM
        (
            SELECT node, proc_id, proc_seq, end AS at FROM netlogd.flows
            WHERE day >= toDate(substring('{from}', 1, 10)) - 1 AND day <= toDate(substring('{to}', 1, 10))
              AND end < '{to}'
            UNION ALL
            SELECT if(name = '', text_node, name) AS node, proc_id, proc_seq, at
            FROM
            (
                SELECT node AS text_node, spool, proc_id, proc_seq, time AS at FROM netlogd.flows_events
                WHERE day >= toDate(substring('{from}', 1, 10)) - 1 AND day <= toDate(substring('{to}', 1, 10))
                  AND time < '{to}' AND proc_seq > 0
            )
            ANY LEFT JOIN
            (
                SELECT spool, any(node) AS name FROM netlogd.flows
                WHERE day >= toDate(substring('{from}', 1, 10)) - 1 AND day <= toDate(substring('{to}', 1, 10))
                GROUP BY spool
            ) USING spool
        )
        GROUP BY node, proc_id, proc_seq
    )
    GROUP BY node, proc_id
)
ARRAY JOIN seqs AS proc_seq, befores AS before, times AS made
WHERE proc_seq > before + 1 AND made >= '{from}'
ORDER BY node, proc_id, proc_seq;

-- name: losses
-- Losses that the nodes report themselves, and their other events.
SELECT node, time, kind, text
FROM netlogd.flows_events FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND time >= '{from}' AND time < '{to}' AND kind IN ('loss', 'overflow')
ORDER BY node, time;

-- name: traffic per minute
-- Such servers have no refreshable views; computed from the rows, it is right even if a batch arrived twice.
SELECT toStartOfMinute(start_time) AS minute, class, sum(tx_bytes) AS sent, sum(rx_bytes) AS received
FROM netlogd.flows FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND start >= '{from}' AND start < '{to}'
GROUP BY minute, class
ORDER BY minute, class;

-- name: who was refused
-- Who tried what and was refused, told from the end that opened the connection; where that is unknown, from the end
-- that sent what was thrown away. `how`: the kernel's reason, where this node threw away all that it received or was to
-- send (of TCP only what begins a connection: a kernel drops what comes after the end of one, too); 'reset', where a
-- SYN was answered with RST alone; 'no answer', where nothing came back to a SYN in its window (also for a SYN of the
-- window's last moment). A refusal that both ends see is in the rows of both nodes.
SELECT node, who, max(name) AS who_name, whom, proto, port, how, sum(tries) AS connections, sum(drops) AS dropped,
       min(start) AS first_seen, max(end) AS last_seen
FROM
(
    SELECT node, start, end, proto, starts AS tries, tx_drops + rx_drops AS drops,
           init = 'dst' OR (init = 'unknown' AND rx_drops >= tx_drops) AS from_dst,
           if(from_dst, dst, src) AS who, if(from_dst, dst_node, src_node) AS name,
           if(from_dst, src, dst) AS whom, if(from_dst, src_port, dst_port) AS port,
           if(from_dst, rx_flags, tx_flags) AS asked, if(from_dst, tx_flags, rx_flags) AS answered,
           init != 'unknown' AND starts > 0 AND proto = 6 AS opened,
           (tx_drops > 0 AND tx_pkts = 0) OR (rx_drops > 0 AND rx_pkts <= rx_drops
               AND (proto != 6 OR bitAnd(rx_flags, 2) != 0 OR bitAnd(rx_flags, 4 + 16) = 0)) AS thrown_away,
           multiIf(thrown_away, if(drop_reason = '', 'dropped', drop_reason),
                   opened AND bitAnd(answered, 2 + 4) = 4, 'reset',
                   opened AND answered = 0 AND bitAnd(asked, 2 + 16) = 2, 'no answer', '') AS how
    FROM netlogd.flows FINAL
    WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
      AND start >= '{from}' AND start < '{to}' AND class != 'physical'
)
WHERE how != ''
GROUP BY node, who, whom, proto, port, how
ORDER BY connections + dropped DESC, node, who, whom, proto, port, how;

-- name: scans
-- One source that was refused by many: hosts, or ports of one host. {least} different ones, to be shown. What several
-- nodes saw of a source is taken together.
SELECT who, max(name) AS who_name, uniqExact(whom) AS hosts, uniqExact(port) AS ports,
       uniqExact(whom, proto, port) AS targets, uniqExact(node) AS seen_by,
       min(start) AS first_seen, max(end) AS last_seen
FROM
(
    SELECT node, start, end, proto, starts AS tries, tx_drops + rx_drops AS drops,
           init = 'dst' OR (init = 'unknown' AND rx_drops >= tx_drops) AS from_dst,
           if(from_dst, dst, src) AS who, if(from_dst, dst_node, src_node) AS name,
           if(from_dst, src, dst) AS whom, if(from_dst, src_port, dst_port) AS port,
           if(from_dst, rx_flags, tx_flags) AS asked, if(from_dst, tx_flags, rx_flags) AS answered,
           init != 'unknown' AND starts > 0 AND proto = 6 AS opened,
           (tx_drops > 0 AND tx_pkts = 0) OR (rx_drops > 0 AND rx_pkts <= rx_drops
               AND (proto != 6 OR bitAnd(rx_flags, 2) != 0 OR bitAnd(rx_flags, 4 + 16) = 0)) AS thrown_away,
           multiIf(thrown_away, if(drop_reason = '', 'dropped', drop_reason),
                   opened AND bitAnd(answered, 2 + 4) = 4, 'reset',
                   opened AND answered = 0 AND bitAnd(asked, 2 + 16) = 2, 'no answer', '') AS how
    FROM netlogd.flows FINAL
    WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
      AND start >= '{from}' AND start < '{to}' AND class != 'physical'
)
WHERE how != ''
GROUP BY who
HAVING targets >= {least}
ORDER BY targets DESC, who;

-- name: connections per service
-- Connections to each service, as each node saw them: one between two nodes is in the rows of both. Those of which
-- the opener is unknown are not among them.
SELECT node, if(init = 'src', dst, src) AS server, proto, if(init = 'src', dst_port, src_port) AS port,
       sum(starts) AS connections, uniqExact(if(init = 'src', src, dst)) AS clients,
       sum(tx_bytes + rx_bytes) AS bytes
FROM netlogd.flows FINAL
WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
  AND start >= '{from}' AND start < '{to}' AND class != 'physical'
  AND init != 'unknown'
GROUP BY node, server, proto, port
ORDER BY connections DESC, node, server, proto, port
LIMIT 100;
