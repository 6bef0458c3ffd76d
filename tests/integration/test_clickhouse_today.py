# SPDX-License-Identifier: BSD-3-Clause
"""A current ClickHouse: the schemas and queries of packaging/clickhouse in the embedded engine of npm's chdb, with
rows that the uploader made."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from collector import Answer, Collector
from lib.clickhouse import (CONNECTIONS, DETAILS, MARK, REFUSED, SCANS, SERVICES, answer_question, before_details, plain,
                            queries, statements)
from lib.daemon import build_directory
from lib.process import dies_with_us, run
from lib.uploader import DaemonSide, Uploader

SCHEMAS = Path(__file__).parents[2] / "packaging" / "clickhouse"
VERSION = "3.4.0"


@pytest.fixture(scope="session")
def chdb():
    """The package's folder; installed once, into the build directory."""
    folder = Path(os.environ.get("NETLOGD_CHDB") or os.path.join(build_directory(), "chdb"))
    if not (folder / "node_modules" / "chdb").is_dir():
        if not shutil.which("npm"):
            pytest.skip("no npm to install chdb with")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"chdb@{VERSION}"], timeout=600)
    return folder / "node_modules" / "chdb"


class Engine:
    def __init__(self, chdb, path):
        script = Path(__file__).parent / "clickhouse_today.js"
        self.process = subprocess.Popen(dies_with_us(["node", str(script), str(chdb), str(path)]),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def query(self, sql, **parameters):
        for name, value in parameters.items():
            sql = re.sub(r"\{%s:([A-Za-z0-9]+(\([^)]*\))?)\}" % name, lambda m, v=value: f"CAST('{v}' AS {m[1]})", sql)
        self.process.stdin.write(json.dumps({"sql": sql}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{sql[:300]}: {answer['error']}")
        return [line.split("\t") for line in answer["text"].splitlines()]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


@pytest.fixture
def engine(chdb, directory):
    made = Engine(chdb, directory / "data")
    try:
        for statement in statements(SCHEMAS / "single.sql"):
            made.query(statement)
        yield made
    finally:
        made.close()


def make_bodies(directory, fill, last):
    """The inserts that the uploader makes from a spool that fill() has filled up to `last`: (table, rows as text)."""
    with Collector() as collector:
        def answer(request):
            return Answer(200, MARK, answer_question(request.query["query"], ["insert_deduplication_token"]) or "")

        collector.default = answer
        uploader = Uploader(directory, {"ch": {"type": "clickhouse", "url": collector.url, "database": "netlogd",
                                               "table": "flows", "flush-interval": "0", "max-rows": "2000"}})
        side = DaemonSide(directory / "upload.sock")
        try:
            fill(uploader)
            uploader.start()
            side.wait_sink("ch", lambda s: s["deliveredSequence"] == last)
            uploader.stop()
        finally:
            side.close()
            uploader.close()
        return [(re.search(r"`netlogd`\.(`\w+` \([^)]*\))", request.query["query"])[1], request.body.decode())
                for request in collector.requests if "INSERT" in request.query["query"]]


@pytest.fixture
def bodies(directory):
    def fill(uploader):
        uploader.fill(3, entries=1000)
        uploader.fill(1, size=300)
        uploader.fill(3, entries=1000)
        uploader.next_seq += 5
        uploader.fill(1, entries=10)

    return make_bodies(directory, fill, 8)


def insert(engine, bodies):
    for table, rows in bodies:
        engine.query(f"INSERT INTO netlogd.{table} FORMAT JSONEachRow {rows}")


WHEN = {"from": "2020-01-01 00:00:00", "to": "2100-01-01 00:00:00"}


def test_rows_and_repetitions(engine, bodies):
    """A batch inserted twice adds no rows; addresses, times and sums are right."""
    insert(engine, bodies)
    insert(engine, bodies[1:])
    assert engine.query("SELECT count(), sum(tx_pkts), uniqExact(spool, seq, idx) FROM netlogd.flows FINAL") == [
        ["6010", str(6 * 500500 + 55), "6010"]]
    assert engine.query("SELECT count() FROM netlogd.flows_events FINAL") == [["1"]]
    assert engine.query("SELECT src, src_port, dst, dst_port, proto, class, dateDiff('second', start, end), "
                        "abs(dateDiff('second', end, now())) < 600 FROM netlogd.flows WHERE seq = 1 AND idx = 251 "
                        "LIMIT 1") == [["::ffff:100.64.0.1", "20251", "::ffff:100.64.1.1", "443", "6", "virtual", "5",
                                        "1"]]
    view = next(text for text in statements(SCHEMAS / "single.sql") if "MATERIALIZED VIEW" in text)
    for _ in range(2):
        engine.query("INSERT INTO netlogd.flows_minute " + view[view.index("SELECT"):])
    assert engine.query("SELECT sum(tx_pkts), sum(rx_pkts) FROM netlogd.flows_minute FINAL") == [
        [str(6 * 500500 + 55), str(6010 * 3)]]


def test_queries(engine, bodies):
    insert(engine, bodies)
    engine.query("INSERT INTO netlogd.flows (node, spool, seq, start, end, class, src, dst, dst_port, tx_bytes) VALUES "
                 "('n2', 's', 1, now() - 60, now() - 55, 'physical', '::ffff:100.64.0.9', "
                 "'::ffff:192.0.2.2', 51820, 7), "
                 "('n2', 's', 2, now() - 55, now() - 50, 'subnet', '::ffff:100.64.0.9', "
                 "'::ffff:10.1.2.3', 22, 9)")
    # Opened from within the subnet, and into it from the other side.
    engine.query("INSERT INTO netlogd.flows (node, spool, seq, start, end, class, src, src_port, dst, dst_port, init, tx_bytes) "
                 "VALUES ('n2', 's', 3, now() - 50, now() - 45, 'subnet', '::ffff:10.1.9.9', 4000, "
                 "'::ffff:100.64.0.9', 80, 'src', 1), "
                 "('n2', 's', 4, now() - 45, now() - 40, 'subnet', '::ffff:10.1.9.9', 443, "
                 "'::ffff:100.64.0.9', 4000, 'dst', 1)")
    asked = queries(SCHEMAS / "queries.sql")
    assert set(asked) == {"top talkers", "who reached a subnet", "traffic matrix", "physical paths", "gaps", "losses",
                          "traffic per minute", "who was refused", "scans", "connections per service"}
    top = engine.query(asked["top talkers"], **WHEN)
    assert len(top) == 20 and top[0][0] == "n1" and int(top[0][3]) >= int(top[1][3])
    reached = engine.query(asked["who reached a subnet"], subnet="::ffff:10.1.0.0", bits=112, **WHEN)
    assert [row[:5] + row[7:] for row in reached] == [
        ["n2", "::ffff:100.64.0.9", "::ffff:10.1.2.3", "0", "22", "9"],
        ["n2", "::ffff:100.64.0.9", "::ffff:10.1.9.9", "0", "443", "1"]]
    matrix = engine.query(asked["traffic matrix"], **WHEN)
    assert {row[0] for row in matrix} == {"n1"}
    assert sum(int(row[2]) for row in matrix) == int(engine.query("SELECT sum(tx_bytes) FROM netlogd.flows "
                                                                 "WHERE class = 'virtual'")[0][0])
    paths = engine.query(asked["physical paths"], node="n2", **WHEN)
    assert [row[:3] + row[5:] for row in paths] == [
        ["::ffff:100.64.0.9", "::ffff:192.0.2.2", "51820", "7", "0"]]
    # proc_seq 1 to 7 and 13: the text in the middle counts, and the gap is found.
    assert engine.query(asked["gaps"], **WHEN) == [["n1", "4711", "8", "12", "5"]]
    assert engine.query(asked["losses"], **WHEN) == []
    engine.query(asked["traffic per minute"], **WHEN)


def test_queries_of_details(engine, directory):
    """Who was refused, scans and services, from messages as the daemon makes them; every row is there twice."""
    def fill(uploader):
        uploader.fill(1, members=CONNECTIONS)
        uploader.fill(1, entries=10)

    made = make_bodies(directory, fill, 2)
    insert(engine, made * 2)
    asked = queries(SCHEMAS / "queries.sql")
    refused = plain(engine.query(asked["who was refused"], **WHEN))
    assert {row[0] for row in refused} == {"n1"}
    assert [row[1:9] for row in refused] == REFUSED
    scans = plain(engine.query(asked["scans"], least=3, **WHEN))
    assert [row[:6] for row in scans] == SCANS
    assert len(engine.query(asked["scans"], least=4, **WHEN)) == 1
    services = plain(engine.query(asked["connections per service"], **WHEN))
    assert [row[1:] for row in services] == SERVICES
    early = {"from": "2020-01-01 00:00:00", "to": "2021-01-01 00:00:00"}
    for name in ("who was refused", "scans", "connections per service"):
        assert engine.query(asked[name], least=1, **early) == []


def unclustered(text):
    """A statement of the cluster's schema, for an engine that knows of no cluster: the tables that rows go into have columns of
    their own here too, but are Merge tables, which are for reading."""
    text = text.replace(" ON CLUSTER '{cluster}'", "")
    text = re.sub(r"Distributed\('{cluster}', netlogd, (\w+), .*\)", r"Merge(netlogd, '^\1$')", text)
    return re.sub(r"Replicated(ReplacingMergeTree)\('[^']*', '[^']*'(?:, )?", r"\1(", text)


@pytest.mark.parametrize("schema,migration,table,change", [
    ("single.sql", "migrate.sql", "flows", str), ("cluster.sql", "migrate-cluster.sql", "flows_local", unclustered),
], ids=["single", "cluster"])
def test_migration(chdb, directory, schema, migration, table, change):
    """A table of before, with rows in it: they stay, their details are unknown, and new ones have theirs. Older daemons'
    inserts go on. Twice is as once, and nothing is left that differs from a table made today."""
    def fill(uploader):
        uploader.fill(1, members=CONNECTIONS)

    (names, rows), = make_bodies(directory, fill, 1)
    older = re.sub(r", `(%s)`" % "|".join(DETAILS), "", names)
    engine = Engine(chdb, directory / "data")
    counts = "SELECT idx, start, src, dst, tx_pkts, tx_bytes, rx_pkts, rx_bytes FROM netlogd.flows WHERE seq = %d ORDER BY idx"
    unknown = ("SELECT count() FROM netlogd.flows WHERE init = 'unknown' AND drop_reason = '' "
               "AND starts + ends + tx_flags + rx_flags + tx_drops + rx_drops = 0 AND seq = %d")
    # As the uploader asks for it: what a table has no column for is skipped.
    how = "SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow"

    def put(columns, seq):
        columns = columns.replace("`flows`", table)
        engine.query(f"INSERT INTO netlogd.{columns} {how} " + rows.replace('"seq":1,', f'"seq":{seq},'))

    try:
        for statement in before_details(SCHEMAS / schema):
            engine.query(change(statement))
        assert not set(DETAILS) & {row[0] for row in engine.query("DESCRIBE TABLE netlogd.flows")}
        put(older, 1)
        before = engine.query(counts % 1)
        assert len(before) == 14
        for _ in range(2):
            for statement in statements(SCHEMAS / migration):
                engine.query(change(statement))
        assert engine.query(counts % 1) == before and engine.query(unknown % 1) == [["14"]]
        put(older, 2)
        put(names, 3)
        assert engine.query(unknown % 2) == [["14"]]
        assert engine.query("SELECT sum(starts), sum(ends), sum(tx_drops), sum(rx_drops), countIf(init = 'src'), "
                            "countIf(init = 'dst'), max(tx_flags), uniqExact(drop_reason) FROM netlogd.flows "
                            "WHERE seq = 3") == [["10", "6", "4", "14", "4", "8", "194", "5"]]
        shown = "SELECT name, create_table_query FROM system.tables WHERE database = 'netlogd' ORDER BY name"
        migrated = engine.query(shown)
        engine.query("DROP DATABASE netlogd SYNC")
        for statement in statements(SCHEMAS / schema):
            engine.query(change(statement))
        assert engine.query(shown) == migrated
    finally:
        engine.close()


def test_gaps_at_the_ends(engine):
    """Finds a run's missing first messages, and reports no gap where a run crosses the bounds of the query. Texts have the
    node's log ID, rows its name."""
    day = engine.query("SELECT today() - 2")[0][0]  # within the tables' TTL
    for seq, start, end in ((3, "11:59:50", "11:59:55"), (5, "11:59:58", "12:00:03"), (9, "12:59:58", "13:00:03")):
        engine.query("INSERT INTO netlogd.flows (node, spool, proc_id, seq, proc_seq, start, end) VALUES "
                     f"('n1', 's', 7, {seq}, {seq}, '{day} {start}', '{day} {end}')")
    for proc_id, seq, time in ((7, 1, "08:00:00"), (7, 4, "12:00:01"), (7, 6, "12:30:00"), (7, 8, "13:00:01"),
                               (8, 3, "12:10:00")):
        engine.query("INSERT INTO netlogd.flows_events (node, spool, proc_id, seq, proc_seq, time, kind) VALUES "
                     f"('ab12', 's', {proc_id}, {seq}, {seq}, '{day} {time}', 'text')")
    asked = queries(SCHEMAS / "queries.sql")["gaps"]

    def gaps(start, end):
        return engine.query(asked, **{"from": f"{day} {start}", "to": f"{day} {end}"})

    assert gaps("12:00:00", "13:00:00") == [["n1", "8", "1", "2", "2"]]
    assert gaps("12:00:02", "13:00:00") == [["n1", "8", "1", "2", "2"]]
    assert gaps("11:00:00", "12:00:00") == [["n1", "7", "2", "2", "1"]]
    assert gaps("13:00:00", "14:00:00") == [["n1", "7", "7", "7", "1"]]
    assert gaps("00:00:00", "23:00:00") == [["n1", "7", "2", "2", "1"], ["n1", "7", "7", "7", "1"],
                                            ["n1", "8", "1", "2", "2"]]


@pytest.mark.parametrize("kind", ["alike", "varied", "varied-without-details"])
def test_bytes_per_row(engine, directory, record_property, kind):
    """At most 20 bytes on disk per row: 13.5 were measured with real ones, before there were details; these
    took 1.1 here, 15.6 with them and 14.5 without."""
    options = {"entries": 1000, **({} if kind == "alike" else {"varied": True})}
    made = make_bodies(directory, lambda uploader: uploader.fill(10, **options), 10)
    if kind == "varied-without-details":
        made = [(re.sub(r", `(%s)`" % "|".join(DETAILS), "", table) + " SETTINGS input_format_skip_unknown_fields = 1", rows)
                for table, rows in made]
    insert(engine, made)
    engine.query("OPTIMIZE TABLE netlogd.flows FINAL")
    size = float(engine.query("SELECT sum(data_compressed_bytes) / sum(rows) FROM system.parts "
                              "WHERE database = 'netlogd' AND table = 'flows' AND active")[0][0])
    record_property("bytes_per_row", size)
    assert size < 20
    assert engine.query("SELECT sum(starts) > 0 FROM netlogd.flows") == [["1" if kind == "varied" else "0"]]


def test_cluster_schema_is_understood(engine):
    """Only parsed: there is no cluster to run it on."""
    for name in ("cluster.sql", "migrate-cluster.sql"):
        for statement in statements(SCHEMAS / name):
            engine.query("EXPLAIN AST " + statement)
