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
-- {first} and {last} are the ends of the subnet: ::ffff:10.1.0.0 and ::ffff:10.1.255.255.
SELECT node, if(dst_is_in, src, dst) AS who, if(dst_is_in, dst, src) AS whom, proto,
       if(dst_is_in, dst_port, src_port) AS port,
       min(start) AS first_seen, max(end) AS last_seen, sum(tx_bytes + rx_bytes) AS bytes
FROM
(
    SELECT node, src, dst, src_port, dst_port, proto, start, end, tx_bytes, rx_bytes,
           dst_ip >= IPv6StringToNum('{first}') AND dst_ip <= IPv6StringToNum('{last}') AS dst_is_in,
           src_ip >= IPv6StringToNum('{first}') AND src_ip <= IPv6StringToNum('{last}') AS src_is_in
    FROM netlogd.flows FINAL
    WHERE day >= toDate(substring('{from}', 1, 10)) AND day <= toDate(substring('{to}', 1, 10))
      AND start >= '{from}' AND start < '{to}' AND class != 'physical'
)
WHERE dst_is_in OR src_is_in
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
            SELECT node, proc_id, proc_seq, time AS at FROM netlogd.flows_events
            WHERE day >= toDate(substring('{from}', 1, 10)) - 1 AND day <= toDate(substring('{to}', 1, 10))
              AND time < '{to}' AND proc_seq > 0
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
