-- SPDX-License-Identifier: BSD-3-Clause
-- Queries for operators, for the tables of single.sql and cluster.sql. Pass parameters with
-- clickhouse-client --param_from='2026-01-31 00:00:00' and so on. Addresses are IPv6; IPv4 is ::ffff:a.b.c.d.
-- FINAL hides duplicate rows; within one day's partition it costs little.

-- name: top talkers
-- Both directions, as the node saw them. Physical traffic is the same bytes once more, outside the tunnel.
SELECT node, src, dst, sum(tx_bytes + rx_bytes) AS bytes, sum(tx_pkts + rx_pkts) AS pkts
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
GROUP BY node, src, dst
ORDER BY bytes DESC, node, src, dst
LIMIT 20;

-- name: who reached a subnet
-- {subnet} is an address, {bits} the length in IPv6's terms: 10.1.0.0/16 is ::ffff:10.1.0.0 and 96 + 16 = 112.
-- A range of the column, so that the bloom filters and the order of rows help. Connections that were opened from within
-- the subnet are not among them; those of which the opener is unknown are.
WITH IPv6CIDRToRange({subnet:IPv6}, {bits:UInt8}) AS range
SELECT node, if(dst BETWEEN range.1 AND range.2, src, dst) AS who,
       if(dst BETWEEN range.1 AND range.2, dst, src) AS whom, proto,
       if(dst BETWEEN range.1 AND range.2, dst_port, src_port) AS port,
       min(start) AS first, max(end) AS last, sum(tx_bytes + rx_bytes) AS bytes
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
  AND (dst BETWEEN range.1 AND range.2 OR src BETWEEN range.1 AND range.2)
  AND NOT if(dst BETWEEN range.1 AND range.2, init = 'dst', init = 'src')
GROUP BY node, who, whom, proto, port
ORDER BY first, node, who, whom, proto, port;

-- name: traffic matrix
-- What each node sent to each other node inside the tailnet: every node reports what it sent, so that nothing is
-- counted at both ends. A node without a name in any message is shown by its address.
SELECT node AS from_node, if(dst_node = '', toString(dst), toString(dst_node)) AS to_node,
       sum(tx_bytes) AS bytes, sum(tx_pkts) AS pkts
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class = 'virtual'
GROUP BY from_node, to_node
ORDER BY from_node, bytes DESC, to_node;

-- name: physical paths
-- The endpoints over which a node reached its peers, and when.
SELECT src AS peer, dst AS endpoint, dst_port AS port, min(start) AS first, max(end) AS last,
       sum(tx_bytes) AS tx_bytes, sum(rx_bytes) AS rx_bytes
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class = 'physical'
  AND node = {node:String}
GROUP BY peer, endpoint, port
ORDER BY peer, first, endpoint, port;

-- name: gaps
-- Missing messages: in each run of a daemon (proc_id) they are numbered 1, 2, 3 ... A gap is dated by the message
-- after it. Texts are messages too, so both tables count; and a message is dated by the end of its window, since
-- otherwise a text from within the window would be missing at {to}. If the day before {from} has nothing of a run,
-- the run began after that (a heartbeat leaves a message every quarter of an hour), so its first messages are checked
-- too. Texts do not say the node's name, only its log ID: the rows of the same spool do. Compare with the losses in
-- flows_events.
SELECT node, proc_id, before + 1 AS missing_from, proc_seq - 1 AS missing_to, proc_seq - before - 1 AS missing
FROM
(
    SELECT node, proc_id, proc_seq, made,
           lagInFrame(proc_seq) OVER (PARTITION BY node, proc_id ORDER BY proc_seq
                                      ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
    FROM
    (
        SELECT node, proc_id, proc_seq, max(made) AS made
        FROM
        (
            SELECT toString(node) AS node, proc_id, proc_seq, end AS made FROM netlogd.flows
            WHERE start >= {from:DateTime('UTC')} - INTERVAL 1 DAY AND start < {to:DateTime('UTC')}
              AND end < {to:DateTime('UTC')}
            UNION DISTINCT
            SELECT if(name = '', toString(node), name) AS node, proc_id, proc_seq, time AS made
            FROM netlogd.flows_events
            GLOBAL ANY LEFT JOIN
            (
                SELECT spool, argMax(toString(node), start) AS name FROM netlogd.flows
                WHERE start >= {from:DateTime('UTC')} - INTERVAL 1 DAY AND start < {to:DateTime('UTC')}
                GROUP BY spool
            ) AS named USING spool
            WHERE time >= {from:DateTime('UTC')} - INTERVAL 1 DAY AND time < {to:DateTime('UTC')} AND proc_seq > 0
        )
        GROUP BY node, proc_id, proc_seq
    )
)
WHERE proc_seq > before + 1 AND made >= {from:DateTime('UTC')}
ORDER BY node, proc_id, proc_seq;

-- name: losses
-- Losses that the nodes report themselves, and their other events.
SELECT node, time, kind, text
FROM netlogd.flows_events FINAL
WHERE time >= {from:DateTime('UTC')} AND time < {to:DateTime('UTC')} AND kind IN ('loss', 'overflow')
ORDER BY node, time;

-- name: traffic per minute
-- From the sums of the refreshed view.
SELECT minute, class, sum(tx_bytes) AS tx_bytes, sum(rx_bytes) AS rx_bytes
FROM netlogd.flows_minute FINAL
WHERE minute >= {from:DateTime('UTC')} AND minute < {to:DateTime('UTC')}
GROUP BY minute, class
ORDER BY minute, class;

-- name: who was refused
-- Who tried what and was refused, told from the end that opened the connection; where that is unknown, from the end
-- that sent what was thrown away. `how`: the kernel's reason, where this node threw away all that it received or was to
-- send (of TCP only what begins a connection: a kernel drops what comes after the end of one, too); 'reset', where a
-- SYN was answered with RST alone; 'no answer', where nothing came back to a SYN in its window (also for a SYN of the
-- window's last moment). A refusal that both ends see is in the rows of both nodes.
SELECT node, who, max(name) AS who_name, whom, proto, port, how, sum(tries) AS connections, sum(drops) AS dropped,
       min(start) AS first, max(end) AS last
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
           multiIf(thrown_away, if(drop_reason = '', 'dropped', toString(drop_reason)),
                   opened AND bitAnd(answered, 2 + 4) = 4, 'reset',
                   opened AND answered = 0 AND bitAnd(asked, 2 + 16) = 2, 'no answer', '') AS how
    FROM netlogd.flows FINAL
    WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
)
WHERE how != ''
GROUP BY node, who, whom, proto, port, how
ORDER BY connections + dropped DESC, node, who, whom, proto, port, how;

-- name: scans
-- One source that was refused by many: hosts, or ports of one host. {least} different ones, to be shown. What several
-- nodes saw of a source is taken together.
SELECT who, max(name) AS who_name, uniqExact(whom) AS hosts, uniqExact(port) AS ports,
       uniqExact(whom, proto, port) AS targets, uniqExact(node) AS seen_by,
       min(start) AS first, max(end) AS last
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
           multiIf(thrown_away, if(drop_reason = '', 'dropped', toString(drop_reason)),
                   opened AND bitAnd(answered, 2 + 4) = 4, 'reset',
                   opened AND answered = 0 AND bitAnd(asked, 2 + 16) = 2, 'no answer', '') AS how
    FROM netlogd.flows FINAL
    WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
)
WHERE how != ''
GROUP BY who
HAVING targets >= {least:UInt32}
ORDER BY targets DESC, who;

-- name: connections per service
-- Connections to each service, as each node saw them: one between two nodes is in the rows of both. Those of which
-- the opener is unknown are not among them.
SELECT node, if(init = 'src', dst, src) AS server, proto, if(init = 'src', dst_port, src_port) AS port,
       sum(starts) AS connections, uniqExact(if(init = 'src', src, dst)) AS clients,
       sum(tx_bytes + rx_bytes) AS bytes
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
  AND init != 'unknown'
GROUP BY node, server, proto, port
ORDER BY connections DESC, node, server, proto, port
LIMIT 100;
