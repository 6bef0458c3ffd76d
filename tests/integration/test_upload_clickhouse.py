# SPDX-License-Identifier: BSD-3-Clause
"""The ClickHouse sink: against Debian's server, and against one that the test plays."""
import errno
import json
import re
import shutil
import socket
import urllib.parse

import pytest

from collector import Answer, Collector
from lib.clickhouse import (COLUMNS, CONNECTIONS, DETAILS, MARK, REFUSED, SCANS, SERVICES, ClickHouse, Played, plain,
                            queries, statements)
from lib.clickhouse_fixtures import SCHEMAS, TODAY, delivered, older_tables, run, server, tables  # noqa: F401
from lib.wait import wait_until


def test_rows_arrive(tables, run):
    """Every entry is a row, whatever the compression; the sums are right."""
    for i, compression in enumerate(("auto", "gzip", "none")):
        uploader, side = run(tables.url, f"u{i}", compression=compression, max_rows=2500)
        uploader.fill(7, entries=1000)
        uploader.start()
        delivered(side, 7)
        uploader.stop()
        spool = tables.value("SELECT spool FROM netlogd.flows ORDER BY start DESC LIMIT 1")
        assert tables.query(
            "SELECT count(), uniqExact(seq, idx), sum(tx_pkts), sum(tx_bytes), max(rx_bytes), any(class), any(proto), "
            "any(node), min(proc_seq), max(proc_seq), countIf(start_time > now() - 600 AND start_time < now() + 60) "
            f"FROM netlogd.flows WHERE spool = '{spool}'") == [[
                "7000", "7000", str(7 * 500500), str(sum(seq * 1000 * 1000 + 499500 for seq in range(1, 8))), "4321",
                "virtual", "6", "n1", "1", "7", "7000"]]
    assert tables.query("SELECT IPv6NumToString(src_ip), IPv6NumToString(dst_ip), src_port, dst_port FROM netlogd.flows "
                        "WHERE idx = 251 LIMIT 1") == [["::ffff:100.64.0.1", "::ffff:100.64.1.1", "20251", "443"]]


def test_a_repeated_batch_is_the_same_rows(tables, run):
    """At least once: the row key removes what a killed uploader sent again."""
    uploader, side = run(tables.url, max_rows=1000)
    uploader.fill(30, entries=500)
    for kill in range(6):
        uploader.start()
        wait_until(lambda kill=kill: int(tables.value("SELECT count() FROM netlogd.flows")) >= kill * 2000, "rows")
        uploader.kill()
    uploader.start()
    delivered(side, 30)
    uploader.stop()
    assert tables.query("SELECT count(), sum(tx_pkts) FROM netlogd.flows FINAL") == [["15000", str(30 * 125250)]]
    assert tables.query("SELECT uniqExact(seq, idx) FROM netlogd.flows") == [["15000"]]


def test_events_of_a_message_without_entries(tables, run):
    uploader, side = run(tables.url)
    uploader.fill(3, size=300)
    uploader.start()
    delivered(side, 3)
    uploader.stop()
    assert tables.query("SELECT seq, kind, proc_seq FROM netlogd.flows_events ORDER BY seq") == [
        ["1", "empty", "1"], ["2", "empty", "2"], ["3", "empty", "3"]]


def test_queries(tables, run):
    """Operators' queries, in the dialect of old servers; also with every row twice."""
    uploader, side = run(tables.url)
    uploader.fill(3, entries=100)
    uploader.fill(1, size=300)
    uploader.fill(3, entries=100)
    uploader.next_seq += 5
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 8)
    uploader.stop()
    for table in ("flows", "flows_events"):
        tables.query(f"INSERT INTO netlogd.{table} SELECT * FROM netlogd.{table}")
    tables.query("INSERT INTO netlogd.flows (node, spool, proc_id, seq, proc_seq, start, end, class, proto, src, dst, "
                 "dst_port, tx_bytes) VALUES "
                 "('n2', 's', 5, 1, 1, '2026-01-31 11:59:50', '2026-01-31 11:59:55', 'physical', 0, "
                 "'::ffff:100.64.0.9', '::ffff:192.0.2.2', 51820, 7), "
                 "('n2', 's', 5, 3, 3, '2026-01-31 11:59:58', '2026-01-31 12:00:03', 'subnet', 6, "
                 "'::ffff:100.64.0.9', '::ffff:10.1.2.3', 22, 9), "
                 "('n2', 's', 6, 4, 3, '2026-01-31 12:00:04', '2026-01-31 12:00:08', 'subnet', 6, "
                 "'::ffff:10.2.0.0', '::ffff:100.64.0.9', 22, 9)")
    # Opened from within the subnet, and into it from the other side.
    tables.query("INSERT INTO netlogd.flows (node, spool, proc_id, seq, idx, proc_seq, start, end, class, proto, src, src_port, "
                 "dst, dst_port, init, tx_bytes) VALUES "
                 "('n2', 's', 6, 4, 1, 3, '2026-01-31 12:00:04', '2026-01-31 12:00:08', 'subnet', 6, "
                 "'::ffff:10.1.9.9', 4000, '::ffff:100.64.0.9', 80, 'src', 1), "
                 "('n2', 's', 6, 4, 2, 3, '2026-01-31 12:00:04', '2026-01-31 12:00:08', 'subnet', 6, "
                 "'::ffff:10.1.9.9', 443, '::ffff:100.64.0.9', 4000, 'dst', 1)")
    tables.query("INSERT INTO netlogd.flows_events (node, spool, proc_id, seq, proc_seq, idx, time, kind, text) VALUES "
                 # A text has the node's log ID, not its name.
                 "('ab12', 's', 5, 2, 2, 0, '2026-01-31 12:00:01', 'text', ''), "
                 "('n2', 's', 5, 3, 0, 1, '2026-01-31 12:00:02', 'loss', 'netlogd: lost')")
    asked = queries(SCHEMAS / "old-queries.sql")
    assert set(asked) == set(queries(SCHEMAS / "queries.sql"))

    def ask(name, start="2026-01-31 00:00:00", end="2100-01-01 00:00:00", **values):
        sql = asked[name]
        for key, value in {"from": start, "to": end, **values}.items():
            sql = sql.replace("{" + key + "}", value)
        return tables.query(sql)

    top = ask("top talkers")
    assert len(top) == 20 and top[0][0] == "n1" and int(top[0][3]) >= int(top[1][3])
    assert [row[:5] + row[7:] for row in ask("who reached a subnet", first="::ffff:10.1.0.0",
                                             last="::ffff:10.1.255.255")] == [
        ["n2", "::ffff:100.64.0.9", "::ffff:10.1.2.3", "6", "22", "9"],
        ["n2", "::ffff:100.64.0.9", "::ffff:10.1.9.9", "6", "443", "1"]]
    sent = tables.value("SELECT sum(tx_bytes) FROM netlogd.flows FINAL WHERE class = 'virtual'")
    assert sum(int(row[2]) for row in ask("traffic matrix")) == int(sent)
    assert ask("physical paths", node="n2") == [
        ["::ffff:100.64.0.9", "::ffff:192.0.2.2", "51820", "2026-01-31 11:59:50", "2026-01-31 11:59:55", "7", "0"]]
    assert ask("gaps") == [["n1", "4711", "8", "12", "5"], ["n2", "6", "1", "2", "2"]]
    # The text at 12:00:01 came before a message whose window began at 11:59:58.
    assert ask("gaps", end="2026-01-31 12:00:00") == []
    assert ask("gaps", "2026-01-31 12:00:00", "2026-02-01 00:00:00") == [["n2", "6", "1", "2", "2"]]
    assert ask("losses") == [["n2", "2026-01-31 12:00:02", "loss", "netlogd: lost"]]
    assert sum(int(row[2]) for row in ask("traffic per minute") if row[1] == "virtual") == int(sent)


def test_queries_of_details(tables, run):
    """Who was refused, scans and services, from messages as the daemon makes them; every row is there twice."""
    uploader, side = run(tables.url)
    uploader.fill(1, members=CONNECTIONS)
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    tables.query("INSERT INTO netlogd.flows SELECT * FROM netlogd.flows")
    asked = queries(SCHEMAS / "old-queries.sql")

    def ask(name, start="2026-01-31 00:00:00", end="2100-01-01 00:00:00", least="3"):
        sql = asked[name].replace("{from}", start).replace("{to}", end).replace("{least}", least)
        return plain(tables.query(sql))

    refused = ask("who was refused")
    assert {row[0] for row in refused} == {"n1"}
    assert [row[1:9] for row in refused] == REFUSED
    assert [row[:6] for row in ask("scans")] == SCANS
    assert [row[:6] for row in ask("scans", least="4")] == SCANS[:1]
    assert [row[1:] for row in ask("connections per service")] == SERVICES
    for name in ("who was refused", "scans", "connections per service"):
        assert ask(name, end="2026-02-01 00:00:00") == []


def warning(columns):
    return (f"table netlogd.flows lacks columns {', '.join(columns)}: run the migration in packaging/clickhouse; until then "
            "these details are left out")


def migrate(tables, again=False):
    """As clickhouse-client --ignore-error does."""
    for statement in statements(SCHEMAS / "migrate-old.sql"):
        if again:
            with pytest.raises(AssertionError, match="Code: 44.*already exists"):
                tables.query(statement)
        else:
            tables.query(statement)


def test_older_table(older_tables, run):
    """Without details nothing is told; with details, rows go through without them until the table is migrated, which a
    reload notices. Twice is as once."""
    tables = older_tables
    uploader, side = run(tables.url)
    uploader.fill(1, entries=10)
    uploader.start()
    assert "warning" not in delivered(side, 1)
    uploader.fill(1, members=CONNECTIONS)
    sink = side.wait_sink("ch", lambda s: s["deliveredSequence"] == 2 and "warning" in s)
    assert sink["warning"] == warning(DETAILS)
    assert sink["state"] in ("ok", "idle") and (sink["quarantined"], sink["retries"]) == (0, 0) and "lastError" not in sink
    uploader.fill(2, members=CONNECTIONS)
    delivered(side, 4)
    before = tables.query("SELECT node, start, seq, idx, tx_pkts, tx_bytes, rx_pkts, rx_bytes FROM netlogd.flows ORDER BY seq, idx")
    assert [len([row for row in before if row[2] == seq]) for seq in "1234"] == [10, 14, 14, 14]
    migrate(tables)
    migrate(tables, again=True)
    assert tables.query("SELECT node, start, seq, idx, tx_pkts, tx_bytes, rx_pkts, rx_bytes FROM netlogd.flows "
                        "WHERE init = 'unknown' AND starts + ends + tx_flags + rx_flags + tx_drops + rx_drops = 0 "
                        "AND drop_reason = '' ORDER BY seq, idx") == before
    uploader.reload()
    uploader.fill(1, members=CONNECTIONS)
    sink = side.wait_sink("ch", lambda s: s["deliveredSequence"] == 5 and "warning" not in s)
    uploader.stop()
    assert tables.query("SELECT max(seq), sum(starts), sum(ends), sum(tx_drops), sum(rx_drops), countIf(init = 'src'), "
                        "countIf(init = 'dst'), max(tx_flags), uniqExact(drop_reason) FROM netlogd.flows WHERE seq > 4") == [
        ["5", "10", "6", "4", "14", "4", "8", "194", "5"]]
    assert uploader.log().count(warning(DETAILS)) == 1
    # Nothing is left that differs from a table made today.
    migrated = tables.value("SHOW CREATE TABLE netlogd.flows")
    tables.query("DROP TABLE netlogd.flows")
    for statement in statements(SCHEMAS / "old.sql"):
        tables.query(statement)
    assert tables.value("SHOW CREATE TABLE netlogd.flows") == migrated


def test_migration_that_was_interrupted(older_tables, run):
    """What is there is used, and what is missing is named; a column that goes away under way is left out, and told."""
    tables = older_tables
    for statement in statements(SCHEMAS / "migrate-old.sql")[:3]:
        tables.query(statement)
    uploader, side = run(tables.url)
    uploader.fill(1, members=CONNECTIONS)
    uploader.start()
    assert side.wait_sink("ch", lambda s: "warning" in s)["warning"] == warning(DETAILS[3:])
    delivered(side, 1)
    tables.query("ALTER TABLE netlogd.flows DROP COLUMN ends")
    uploader.fill(1, members=CONNECTIONS)
    sink = side.wait_sink("ch", lambda s: s["deliveredSequence"] == 2 and s.get("warning") == warning(DETAILS[2:]))
    assert sink["state"] in ("ok", "idle")
    uploader.stop()
    assert tables.query("SELECT seq, count(), sum(starts), countIf(init != 'unknown') FROM netlogd.flows GROUP BY seq "
                        "ORDER BY seq") == [["1", "14", "10", "12"], ["2", "14", "10", "12"]]


def test_password(tables, run, directory):
    """Sent in ClickHouse's own headers; a wrong one is a misconfiguration."""
    secret = directory / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    uploader, side = run(tables.url, user="writer", password_file=secret)
    uploader.fill(1, entries=10)
    uploader.start()
    sink = side.wait_sink("ch", lambda s: s["state"] == "misconfigured")
    assert re.fullmatch(r"HTTP \d+ [A-Z][A-Za-z ]+: Code: 193 \(WRONG_PASSWORD\), SELECT FROM system.settings", sink["lastError"])
    secret.write_text("open sesame\n")
    uploader.reload()
    delivered(side, 1)
    uploader.stop()


@pytest.mark.parametrize("change,code", [("DROP TABLE netlogd.flows", 60), ("DROP DATABASE netlogd", 81)])
def test_missing_table(tables, run, change, code):
    tables.query(change)
    uploader, side = run(tables.url)
    uploader.fill(12, entries=10)
    uploader.start()
    sink = side.wait_sink("ch", lambda s: s["state"] == "misconfigured")
    assert f"Code: {code}" in sink["lastError"]
    assert sink["backlogMessages"] == 12 and sink["quarantined"] == 0
    for statement in statements(SCHEMAS / "old.sql"):
        tables.query(statement)
    uploader.reload()
    delivered(side, 12)
    uploader.stop()
    assert tables.value("SELECT count() FROM netlogd.flows") == "120"


def test_wrong_schema(tables, run):
    """A column of the wrong type: every row is refused, so it is a misconfiguration."""
    tables.query("DROP TABLE netlogd.flows")
    tables.query("CREATE TABLE netlogd.flows (node UInt8, seq UInt64, idx UInt32) ENGINE = MergeTree ORDER BY seq")
    uploader, side = run(tables.url)
    uploader.fill(12, entries=10)
    uploader.start()
    sink = side.wait_sink("ch", lambda s: s["state"] == "misconfigured", timeout=60)
    assert sink["quarantined"] == 0 and sink["backlogMessages"] == 12
    uploader.stop()


def test_real_connections(wireguard, netlogd, directory):
    """From packets to a query's answer: who was refused by a rule here and by the other end, and who was not."""
    if not shutil.which("clickhouse-server"):
        pytest.skip("no clickhouse-server")
    left, right = wireguard
    with left.namespace.inside():
        tables = ClickHouse(directory)
    try:
        with left.namespace.inside():
            for statement in statements(SCHEMAS / "old.sql"):
                tables.query(statement)
        left.namespace.run("nft", "-f", "-", stdin="table ip t { chain i { type filter hook input priority 0; "
                           f"iifname {left.interface} tcp dport {{ 23, 25, 110 }} drop; }}; }}")
        daemon = netlogd(left.namespace, {
            "tun": {"interface": left.interface, "source": "ebpf"}, "sock": {"source": "none"},
            "record": {"period": "1h", "heartbeat": "0"},
            "upload ch": {"type": "clickhouse", "url": tables.url, "database": "netlogd", "table": "flows",
                          "flush-interval": "0"}}).start()
        has_drops = daemon.status()["drops"]["state"] == "counting"
        with right.namespace.inside():
            server = socket.create_server((right.address, 443))
            knocking = [socket.socket() for _ in range(3)]
            for sock, port in zip(knocking, (23, 25, 110)):
                sock.setblocking(False)
                assert sock.connect_ex((left.address, port)) == errno.EINPROGRESS
        with left.namespace.inside():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((right.address, 22), 20)
            served = socket.create_connection((right.address, 443), 20)
        server.accept()[0].close()
        assert served.recv(1) == b""
        # What knocked came before the answers of the server: a tunnel keeps the order.
        daemon.flush()
        wait_until(lambda: daemon.status()["sinks"][0]["backlogMessages"] == 0, "delivery")

        def ask(name):
            with left.namespace.inside():
                return plain(tables.query(queries(SCHEMAS / "old-queries.sql")[name].replace("{least}", "3").replace(
                    "{from}", "2026-01-31 00:00:00").replace("{to}", "2100-01-01 00:00:00")))

        refused = [row[1:2] + row[3:7] for row in ask("who was refused")]
        assert [left.address, right.address, "6", "22", "reset"] in refused
        if has_drops:
            for port in ("23", "25", "110"):
                assert [right.address, left.address, "6", port, "NETFILTER_DROP"] in refused
            assert [row[:1] + row[2:5] for row in ask("scans")] == [[right.address, "1", "3", "3"]]
        assert not [row for row in refused if row[3] == "443"]
        services = {(row[1], row[3]): row[4:6] for row in ask("connections per service")}
        assert services[right.address, "443"] == ["1", "1"]
        for sock in (*knocking, served, server):
            sock.close()
    finally:
        tables.close()


# --- a server played by the test


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


def test_request(collector, run):
    """What a current server gets: zstd, a token, only settings that it knows, and the user's."""
    played = Played(collector, TODAY)
    uploader, side = run(collector.url, settings="max_threads=3,no_such_thing=1,wait_for_async_insert=0",
                         table="fl`ows", database="net.log")
    uploader.fill(2, entries=3)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    request, = played.inserts
    parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.target).query))
    token = parameters.pop("insert_deduplication_token")
    assert re.fullmatch(r"[0-9a-f]{32}-1-2-[0-9a-f]{8}", token)
    columns = ", ".join(f"`{name}`" for name in COLUMNS["flows"])
    assert parameters == {
        "query": f"INSERT INTO `net.log`.`fl\\`ows` ({columns}) FORMAT JSONEachRow", "max_threads": "3",
        "input_format_skip_unknown_fields": "1", "wait_for_async_insert": "1"}
    assert request.headers["content-encoding"] == "zstd"
    rows = [json.loads(line) for line in request.body.splitlines()]
    assert [(row["seq"], row.get("idx", 0)) for row in rows] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert rows[4]["spool"] == token[:32] and rows[4]["dst"] == "::ffff:100.64.0.1"
    assert played.asked == 1


def test_table_without_details_of_a_server_that_is_played(collector, run):
    """The insert names what the table has; the batch that failed before the migration keeps its bytes and its token."""
    columns = {**COLUMNS, "flows": [name for name in COLUMNS["flows"] if name not in DETAILS]}
    played = Played(collector, TODAY, columns)
    played.answers = [Answer(503)] * 50
    uploader, side = run(collector.url, settings="input_format_skip_unknown_fields=0")
    uploader.fill(1, members=CONNECTIONS)
    uploader.start()
    collector.wait(lambda _: played.inserts)
    assert "warning" not in side.wait_sink("ch", lambda s: s["state"] == "retrying")
    uploader.kill()
    played.columns = None
    played.answers = []
    uploader.start()
    assert "warning" not in delivered(side, 1)
    uploader.stop()
    first, last = played.inserts[0], played.inserts[-1]
    assert f"(`{'`, `'.join(columns['flows'])}`)" in first.query["query"]
    assert f"(`{'`, `'.join(COLUMNS['flows'])}`)" in last.query["query"]
    assert first.body == last.body
    assert first.query["insert_deduplication_token"] == last.query["insert_deduplication_token"]
    assert {request.query["input_format_skip_unknown_fields"] for request in played.inserts} == {"1"}
    rows = [json.loads(line) for line in last.body.splitlines()]
    assert [row.get("init") for row in rows[:4]] == ["src", "dst", "src", None]
    assert rows[11]["drop_reason"] == "NO_SOCKET" and rows[11]["rx_drops"] == 2


def test_no_insert_into_too_many_partitions(collector, run):
    """A server takes at most 100 partitions in one insert, and a table may have one per day."""
    played = Played(collector, TODAY)
    uploader, side = run(collector.url)
    uploader.fill(70, entries=1, step=86000)
    uploader.start()
    delivered(side, 70)
    uploader.stop()
    assert [len(request.body.splitlines()) for request in played.inserts] == [31, 31, 8]


def test_retry_is_the_same_bytes_with_the_same_token(collector, run):
    """Also after a restart. An exception in a 200 is a failure; a time-out told as 408 is an outage."""
    played = Played(collector, TODAY)
    played.answers = [
        Answer(200, {"X-ClickHouse-Exception-Code": "241"}, "Code: 241. DB::Exception: Memory limit exceeded"),
        Answer(408, {"X-ClickHouse-Exception-Code": "209"}, "Code: 209. DB::Exception: Timeout"),
        Answer(500, body="Code: 252. DB::Exception: Too many parts"),
        *[Answer(500, body="Code: 252. DB::Exception: Too many parts")] * 50,
    ]
    uploader, side = run(collector.url)
    uploader.fill(3, entries=5)
    uploader.start()
    collector.wait(lambda _: len(played.inserts) >= 3)
    uploader.kill()
    played.answers = []
    uploader.start()
    delivered(side, 3)
    uploader.stop()
    assert len({request.query["insert_deduplication_token"] for request in played.inserts}) == 1
    assert len({request.body for request in played.inserts}) == 1


def test_refused_row_is_found(collector, run):
    """Code 27 with status 500 (as 18.16 answers): batches are halved until the message is alone."""
    played = Played(collector, ())

    def insert(request):
        played.inserts.append(request)
        bad = any(json.loads(line)["seq"] == 6 for line in request.body.splitlines())
        return Answer(500, body="Code: 27, e.displayText() = DB::Exception: Cannot parse") if bad else Answer(200, MARK)

    collector.default = lambda request: played.answer(request) if request.method == "GET" else insert(request)
    uploader, side = run(collector.url)
    uploader.fill(10, entries=4)
    uploader.start()
    sink = delivered(side, 10)
    side.wait_sink("ch", lambda s: s["quarantined"] == 1)
    uploader.stop()
    assert sink["state"] in ("ok", "idle")
    assert [message["logtail"]["proc_seq"] for message in uploader.quarantined("ch")] == [6]
    accepted = [json.loads(line)["seq"] for request in played.inserts if request.accepted
                for line in request.body.splitlines()]
    assert accepted == [seq for seq in range(1, 11) if seq != 6 for _ in range(4)]
    assert all(request.headers["content-encoding"] == "gzip" for request in played.inserts)


def test_flush_interval_has_a_random_phase(collector, run):
    """60 s by default, so nothing is sent at once; a flush sends."""
    played = Played(collector, TODAY)
    uploader, side = run(collector.url, flush_interval="1h")
    uploader.fill(2, entries=5)
    uploader.start()
    side.wait_sink("ch", lambda s: s["backlogMessages"] == 2)
    assert played.inserts == []
    assert side.flush(1, 5000)["pendingMessages"] == 0
    uploader.stop()
    assert len(played.inserts) == 1
