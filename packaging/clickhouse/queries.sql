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
-- A range of the column, so that the bloom filters and the order of rows help.
WITH IPv6CIDRToRange({subnet:IPv6}, {bits:UInt8}) AS range
SELECT node, if(dst BETWEEN range.1 AND range.2, src, dst) AS who,
       if(dst BETWEEN range.1 AND range.2, dst, src) AS whom, proto,
       if(dst BETWEEN range.1 AND range.2, dst_port, src_port) AS port,
       min(start) AS first, max(end) AS last, sum(tx_bytes + rx_bytes) AS bytes
FROM netlogd.flows FINAL
WHERE start >= {from:DateTime('UTC')} AND start < {to:DateTime('UTC')} AND class != 'physical'
  AND (dst BETWEEN range.1 AND range.2 OR src BETWEEN range.1 AND range.2)
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
-- too. Compare with the losses in flows_events.
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
            SELECT toString(node) AS node, proc_id, proc_seq, time AS made FROM netlogd.flows_events
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
