# SPDX-License-Identifier: BSD-3-Clause
"""Delivered is what a ClickHouse has stored: in every column, whatever stands between, and however large a batch is."""
import json
import urllib.parse
import urllib.request

import pytest

from collector import Answer, Collector, Hang
from lib.clickhouse import COLUMNS, CONNECTIONS, DETAILS, MARK, Played, free_port, statements
from lib.clickhouse_fixtures import SCHEMAS, TODAY, delivered, run, server, tables  # noqa: F401
from lib.process import Process
from lib.upload_fixtures import collector  # noqa: F401
from lib.wait import wait_until

PAGE = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please log in</body></html>"
NOT_CLICKHOUSE = "this is not ClickHouse (a web page, a portal, a proxy?): correct url"


def misconfigured(side, words=""):
    return side.wait_sink("ch", lambda s: s["state"] == "misconfigured" and words in s.get("lastError", ""),
                          f"misconfigured: {words}", 60)


# --- what answers


@pytest.mark.parametrize("answer", [
    Answer(200, body=PAGE), Answer(200, {"Content-Type": "text/plain"}, "Welcome to the proxy\n"), Answer(200), Answer(204),
    Answer(200, body="Ok.\n"), Answer(200, MARK, "insert_deduplication_token\n"),
    lambda request: Answer(200, body=urllib.parse.unquote(request.target) + request.raw.decode("latin-1")),
], ids=["portal", "greeting", "empty", "204", "ping", "settings", "echo"])
def test_what_is_not_clickhouse_gets_no_rows(collector, run, answer):
    """It answers 200 to everything: nothing is delivered, and not even sent."""
    collector.default = answer
    uploader, side = run(collector.url)
    uploader.fill(3, entries=10)
    uploader.start()
    sink = misconfigured(side, NOT_CLICKHOUSE)
    assert (sink["backlogMessages"], sink["deliveredSequence"], sink["quarantined"]) == (3, 0, 0)
    assert [request for request in collector.requests if request.method != "GET"] == []
    played = Played(collector)
    uploader.reload()
    delivered(side, 3)
    uploader.stop()
    assert len(played.inserts) == 1


@pytest.mark.parametrize("answer", [Answer(200, body=PAGE), Answer(200), Answer(202, MARK), Answer(200, MARK, "Ok.\n")],
                         ids=["portal", "empty", "202", "words"])
def test_only_its_own_answer_to_an_insert_counts(collector, run, answer):
    """After it has proved itself, too: something else may stand in its place by then."""
    played = Played(collector)
    played.answers = [Answer(200, MARK), answer]
    uploader, side = run(collector.url)
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 1)
    collector.default = lambda request: answer if played.inserts[1:] else played.answer(request)
    uploader.fill(1, entries=10)
    sink = misconfigured(side, NOT_CLICKHOUSE)
    assert (sink["backlogMessages"], sink["deliveredSequence"]) == (1, 1)
    collector.default = played.answer
    uploader.reload()
    delivered(side, 2)
    uploader.stop()
    assert played.inserts[1].body == played.inserts[2].body


def test_another_address_has_to_prove_itself_first(collector, run):
    """The name leads elsewhere from now on, to something that takes whatever comes."""
    played = Played(collector)
    uploader, side = run(f"http://localhost:{collector.port}")
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 1)
    collector.stop()
    with Collector(collector.port, "::1", Answer(200)) as other:
        uploader.fill(1, entries=10)
        sink = misconfigured(side, NOT_CLICKHOUSE)
        assert sink["deliveredSequence"] == 1
        assert other.requests and {request.method for request in other.requests} == {"GET"}
        played.inserts.clear()
        other.default = played.answer
        uploader.reload()
        delivered(side, 2)
        uploader.stop()
    assert len(played.inserts) == 1


def test_a_proxy_that_removes_headers(collector, run):
    """The proof is in the answer to the question, which no proxy changes."""
    played = Played(collector)

    def without_headers(request):
        answer = played.answer(request)
        return Answer(answer.status, body=answer.body)

    collector.default = without_headers
    uploader, side = run(collector.url)
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 1)
    uploader.stop()


def test_limits_for_peoples_queries(tables, run):
    """Of the writer's profile: they do not concern the questions."""
    uploader, side = run(tables.url, user="limited")
    uploader.fill(2, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    assert tables.value("SELECT count() FROM netlogd.flows") == "20"


def test_a_proxy_that_takes_only_post(tables, collector, run):
    """The questions are put by POST then; the answers are a real server's."""
    def forward(request):
        if request.method != "POST":
            return Answer(405)
        asked = urllib.request.Request(tables.url + request.target, data=request.raw, method="POST")
        for name in ("content-encoding", "content-type"):
            if name in request.headers:
                asked.add_header(name, request.headers[name])
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return Answer(answer.status, MARK, answer.read())

    collector.default = forward
    uploader, side = run(collector.url)
    uploader.fill(2, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    assert tables.value("SELECT count() FROM netlogd.flows") == "20"
    assert [request.method for request in collector.requests].count("GET") == 1


@pytest.mark.parametrize("close", [False, True], ids=["kept", "closed"])
def test_proof_on_each_connection_without_headers(collector, run, close):
    """A proxy removes them, and closes connections or not: what takes its address over proves itself first."""
    played = Played(collector)

    def without_headers(request):
        answer = played.answer(request)
        return Answer(answer.status, body=answer.body, close=close)

    collector.default = without_headers
    uploader, side = run(collector.url)
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 1)
    uploader.fill(1, entries=10)
    delivered(side, 2)
    collector.stop()
    with Collector(collector.port, default=Answer(200)) as other:
        uploader.fill(1, entries=10)
        sink = misconfigured(side, NOT_CLICKHOUSE)
        assert sink["deliveredSequence"] == 2
        assert other.requests and {request.method for request in other.requests} == {"GET"}
        played.inserts.clear()
        other.default = without_headers
        uploader.reload()
        delivered(side, 3)
        uploader.stop()
    assert len(played.inserts) == 1


# --- what the table holds


def test_table_of_other_columns(tables, run):
    """Its rows would be zeros: what is missing is named, and nothing is sent."""
    tables.query("DROP TABLE netlogd.flows")
    tables.query("CREATE TABLE netlogd.flows (node String, source String, bytes UInt64, seq UInt64, start String ALIAS node, "
                 "day Date MATERIALIZED today(), proto UInt8 MATERIALIZED 6) ENGINE = MergeTree ORDER BY seq")
    uploader, side = run(tables.url)
    uploader.fill(3, entries=10)
    uploader.start()
    sink = misconfigured(side)
    missing = [name for name in COLUMNS["flows"] if name not in ("node", "seq", "start", "proto", *DETAILS)]
    assert sink["lastError"] == (f"table netlogd.flows does not fit: it has no column {', '.join(missing)}; "
                                 "it computes start, proto (the schema is in packaging/clickhouse)")
    assert (sink["backlogMessages"], sink["deliveredSequence"], sink["quarantined"]) == (3, 0, 0)
    assert tables.value("SELECT count() FROM netlogd.flows") == "0"
    tables.query("DROP TABLE netlogd.flows")
    for statement in statements(SCHEMAS / "old.sql"):
        tables.query(statement)
    uploader.reload()
    delivered(side, 3)
    uploader.stop()
    assert tables.query("SELECT count(), min(tx_bytes) > 0, min(src_port) > 0 FROM netlogd.flows") == [["30", "1", "1"]]


@pytest.mark.parametrize("column,words", [
    ("tx_bytes UInt8", "tx_bytes must be UInt64"), ("src_port UInt8", "src_port must be UInt16"),
    ("seq Int32", "seq must be UInt64"),
    ("class Enum8('nothing' = 1)", "class must be Enum8 with virtual, subnet, exit and physical"),
], ids=lambda value: value.split("(")[0])
def test_column_that_is_too_narrow(tables, run, column, words):
    """A server stores bytes modulo 256, and a seq that repeats makes other rows duplicates."""
    name = column.split(" ")[0]
    kept = [f"{other} {kind}".replace("\\'", "'") for other, kind, default, *_ in tables.query("DESCRIBE TABLE netlogd.flows")
            if not default and other != name]
    tables.query("DROP TABLE netlogd.flows")
    tables.query(f"CREATE TABLE netlogd.flows ({', '.join([*kept, column])}) ENGINE = MergeTree ORDER BY idx")
    uploader, side = run(tables.url)
    uploader.fill(3, entries=10)
    uploader.start()
    sink = misconfigured(side)
    assert sink["lastError"] == (f"table netlogd.flows does not fit: these hold not all our values: {words} "
                                 "(the schema is in packaging/clickhouse)")
    assert (sink["backlogMessages"], sink["deliveredSequence"], sink["quarantined"]) == (3, 0, 0)
    uploader.stop()
    assert tables.value("SELECT count() FROM netlogd.flows") == "0"


def test_own_columns_that_are_called_like_details(tables, run):
    """Not for our values: these details are left out, and the others go through; what is computed stays as it is."""
    tables.query("ALTER TABLE netlogd.flows DROP COLUMN init, DROP COLUMN starts, DROP COLUMN ends")
    tables.query("ALTER TABLE netlogd.flows ADD COLUMN init UInt64 ALIAS seq + 7, ADD COLUMN starts String, "
                 "ADD COLUMN ends UInt8")
    uploader, side = run(tables.url)
    uploader.fill(1, members=CONNECTIONS)
    uploader.start()
    sink = side.wait_sink("ch", lambda s: "warning" in s)
    assert sink["warning"] == ("table netlogd.flows has no place for details: it computes init; these hold not all our "
                               "values: starts must be UInt32, ends must be UInt32: rename these columns and run "
                               "the migration in packaging/clickhouse; until then these details are left out")
    delivered(side, 1)
    uploader.stop()
    assert tables.query("SELECT count(), min(init), any(starts), max(ends), sum(rx_drops) FROM netlogd.flows") == [
        ["14", "8", "", "0", "14"]]


def test_columns_that_are_wider(tables, run):
    """Signed ones, and wrapped: they hold what ours hold."""
    tables.query("DROP TABLE netlogd.flows")
    types = {"proto": "Int16", "src_port": "UInt32", "dst_port": "Int32", "idx": "Int64", "tx_bytes": "Int64",
             "tx_pkts": "Nullable(UInt64)", "seq": "UInt64", "proc_id": "Int64", "proc_seq": "UInt64", "rx_pkts": "Float64",
             "rx_bytes": "UInt64", "class": "Enum16('none' = 0, 'physical' = 300, 'exit' = 2, 'virtual' = 7, 'subnet' = 9)",
             "src": "Nullable(String)", "dst": "FixedString(45)"}
    tables.query("CREATE TABLE netlogd.flows (%s) ENGINE = MergeTree ORDER BY seq" %
                 ", ".join(f"{name} {types.get(name, 'String')}" for name in COLUMNS["flows"]))
    uploader, side = run(tables.url)
    uploader.fill(2, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    assert tables.query("SELECT count(), min(tx_bytes) > 0, min(dst_port), any(class) FROM netlogd.flows") == [
        ["20", "1", "443", "virtual"]]


def test_columns_of_the_operators_own(tables, run):
    """With defaults, computed or not: they are no concern of ours."""
    tables.query("ALTER TABLE netlogd.flows ADD COLUMN region String DEFAULT 'eu', ADD COLUMN total UInt64 DEFAULT tx_bytes + 1, "
                 "ADD COLUMN copy UInt64 ALIAS seq")
    uploader, side = run(tables.url)
    uploader.fill(2, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    assert tables.query("SELECT count(), any(region), countIf(total = tx_bytes + 1), countIf(copy = seq) "
                        "FROM netlogd.flows") == [["20", "eu", "20", "20"]]


def test_column_that_is_dropped_under_way(tables, run):
    """Told at the next insert, and by its name, although the columns were right before."""
    uploader, side = run(tables.url)
    uploader.fill(1, entries=10)
    uploader.start()
    delivered(side, 1)
    tables.query("ALTER TABLE netlogd.flows DROP COLUMN dst_node")
    uploader.fill(1, entries=10)
    sink = misconfigured(side)
    assert sink["lastError"] == ("table netlogd.flows does not fit: it has no column dst_node "
                                 "(the schema is in packaging/clickhouse)")
    assert sink["deliveredSequence"] == 1
    tables.query("ALTER TABLE netlogd.flows ADD COLUMN dst_node String")
    uploader.reload()
    delivered(side, 2)
    uploader.stop()
    assert tables.value("SELECT count() FROM netlogd.flows") == "20"


@pytest.mark.parametrize("engine", ["Null", "Buffer(netlogd, stored, 1, 1, 1, 1, 1, 1, 1)",
                                    "Distributed(one, netlogd, stored)"], ids=lambda engine: engine.split("(")[0])
def test_engines(tables, run, engine):
    """A table may pass its rows on."""
    names = ", ".join(f"{name} {kind}".replace("\\'", "'") for name, kind, default, *_ in tables.query("DESCRIBE TABLE netlogd.flows")
                      if not default)
    tables.query("DROP TABLE netlogd.flows")
    tables.query(f"CREATE TABLE netlogd.stored ({names}) ENGINE = MergeTree ORDER BY seq")
    tables.query(f"CREATE TABLE netlogd.flows ({names}) ENGINE = {engine}")
    if engine == "Null":
        tables.query("CREATE MATERIALIZED VIEW netlogd.pass TO netlogd.stored AS SELECT * FROM netlogd.flows")
    uploader, side = run(tables.url, settings="insert_distributed_sync=1")
    uploader.fill(2, entries=10)
    uploader.start()
    delivered(side, 2)
    uploader.stop()
    wait_until(lambda: tables.query("SELECT count(), min(tx_bytes) > 0 FROM netlogd.stored") == [["20", "1"]], "rows", 30)


# --- what does not fit


def check_rows(tables, messages, entries):
    """Every row is there; some may be there twice, until they are merged."""
    assert tables.query("SELECT count(), uniqExact(seq, idx), max(seq) FROM netlogd.flows FINAL") == [
        [str(messages * entries), str(messages * entries), str(messages)]]


def test_memory_limit(tables, run, record_property):
    """25,000 rows are too many for the server's memory (86 MB, and 72 MB for 1,000): halved until it fits."""
    uploader, side = run(tables.url, settings="max_memory_usage=77000000")
    uploader.fill(25, entries=1000)
    uploader.start()
    sink = delivered(side, 25)
    assert 0 < sink["fittingBytes"] < sink["sentBytes"]
    uploader.stop()
    log = uploader.log_file.read_text()
    record_property("halved", log.count("sending half as many"))
    assert "Code: 241" in log and "sending half as many" in log
    assert sink["quarantined"] == 0
    check_rows(tables, 25, 1000)


class Gateway:
    """nginx before a server, which waits for an answer for one second."""

    def __init__(self, directory, url):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = directory / "nginx.conf"
        config.write_text(f"""
daemon off; master_process off; worker_processes 1; user root;
pid {directory}/nginx.pid; error_log {directory}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 32m; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass {url}; proxy_read_timeout 1s; }} }}
}}
""")
        self.process = Process(["nginx", "-c", config, "-e", directory / "nginx-error.log"], directory / "nginx.log")

    def close(self):
        self.process.terminate()
        self.process.close()


def test_gateway_that_gives_up(tables, run, directory):
    """The rows of each try are in, and the answer is 504 all the same: halved, until one is waited for."""
    tables.query("CREATE MATERIALIZED VIEW netlogd.slow ENGINE = Null AS SELECT sleepEachRow(0.002) AS x FROM netlogd.flows")
    gateway = Gateway(directory, tables.url)
    try:
        uploader, side = run(gateway.url)
        uploader.fill(8, entries=150)
        uploader.start()
        delivered(side, 8)
        uploader.stop()
    finally:
        gateway.close()
    assert "HTTP 504 Gateway Timeout" in uploader.log_file.read_text()
    check_rows(tables, 8, 150)


def test_half_is_the_same_after_a_kill(collector, run):
    """A half has a token of its own, and keeps its bytes and its token also when the uploader is killed."""
    played = Played(collector, TODAY)
    answers = [Answer(504, body=PAGE)] * 3 + [Hang()]
    played.answers = list(answers)
    uploader, side = run(collector.url)
    uploader.fill(4, entries=5)
    uploader.start()
    collector.wait(lambda _: len(played.inserts) == 4)
    uploader.kill()
    uploader.start()
    delivered(side, 4)
    uploader.stop()
    tokens = [request.query["insert_deduplication_token"].split("-", 1)[1].rsplit("-", 1)[0] for request in played.inserts]
    assert tokens == ["1-4"] * 3 + ["1-2"] * 2 + ["3-4"]
    assert played.inserts[3].query == played.inserts[4].query and played.inserts[3].body == played.inserts[4].body
    accepted = [json.loads(line)["seq"] for request in played.inserts[4:] for line in request.body.splitlines()]
    assert accepted == [seq for seq in range(1, 5) for _ in range(5)]


def test_outage_is_not_taken_for_size(collector, run):
    """A gateway whose server is away answers 504 to questions too: then the batch stays whole."""
    played = Played(collector)
    played.answers = [Answer(504, body=PAGE)]
    uploader, side = run(collector.url)
    uploader.fill(4, entries=5)
    uploader.start()
    collector.wait(lambda _: played.inserts)
    collector.default = Answer(504, body=PAGE)
    side.wait_sink("ch", lambda s: s["retries"] >= 3, "tries", 60)
    collector.default = played.answer
    delivered(side, 4)
    uploader.stop()
    assert [len(request.body.splitlines()) for request in played.inserts] == [20, 20]


# --- what the operator has to correct


def test_view_that_fails(tables, run):
    tables.query("CREATE MATERIALIZED VIEW netlogd.bad ENGINE = Null AS SELECT throwIf(seq = 2) AS x FROM netlogd.flows")
    uploader, side = run(tables.url)
    uploader.fill(3, entries=10)
    uploader.start()
    sink = misconfigured(side, "a materialized view behind the table fails: correct or drop it")
    assert "while pushing to view netlogd.bad" in sink["lastError"] and "Code: 395" in sink["lastError"]
    assert (sink["backlogMessages"], sink["quarantined"]) == (3, 0)
    tables.query("DROP TABLE netlogd.bad")
    uploader.reload()
    delivered(side, 3)
    uploader.stop()
    check_rows(tables, 3, 10)


def test_table_behind_a_view_is_missing(tables, run):
    """The server says that a table is missing, and not that it is not the sink's."""
    tables.query("CREATE TABLE netlogd.sums (x UInt64) ENGINE = Log")
    tables.query("CREATE MATERIALIZED VIEW netlogd.pass TO netlogd.sums AS SELECT seq AS x FROM netlogd.flows")
    tables.query("DROP TABLE netlogd.sums")
    uploader, side = run(tables.url)
    uploader.fill(3, entries=10)
    uploader.start()
    misconfigured(side, "the table is right, but not what is behind it (a materialized view, another table)")
    tables.query("CREATE TABLE netlogd.sums (x UInt64) ENGINE = Log")
    uploader.reload()
    delivered(side, 3)
    uploader.stop()


@pytest.mark.parametrize("answer,words", [
    (Answer(302, {"Location": "https://other.example:8443/login"}),
     "HTTP 302 Found: redirected to https://other.example:8443/login, which is not followed: correct url"),
    (Answer(302), "HTTP 302 Found: redirected without a Location, which is not followed: correct url"),
    (Answer(415), "HTTP 415 Unsupported Media Type: it does not take bodies in zstd: set compression = none"),
], ids=["302", "302 to nowhere", "415"])
def test_words(collector, run, answer, words):
    played = Played(collector, TODAY)
    played.answers = [answer] * 10
    uploader, side = run(collector.url)
    uploader.fill(1, entries=10)
    uploader.start()
    assert misconfigured(side)["lastError"] == words
    uploader.stop()
