# SPDX-License-Identifier: BSD-3-Clause
"""Debian's clickhouse-server, with all its files in a temporary directory."""
import re
import socket
import urllib.error
import urllib.request

from collector import Answer

from .process import Process
from .wait import wait_until

CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{path}/data/</path><tmp_path>{path}/tmp/</tmp_path><user_files_path>{path}/files/</user_files_path>
  <users_config>{path}/users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>
  <remote_servers><one><shard><replica><host>127.0.0.1</host><port>{tcp}</port></replica></shard></one></remote_servers>
</yandex>
"""
USERS = """<yandex>
  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default>
    <limited><max_result_rows>5</max_result_rows><max_rows_to_read>10</max_rows_to_read><extremes>1</extremes></limited>
  </profiles>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></default>
    <writer><password>open sesame</password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></writer>
    <limited><password></password><networks><ip>127.0.0.1</ip></networks>
      <profile>limited</profile><quota>default</quota></limited>
  </users>
  <quotas><default/></quotas>
</yandex>
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def statements(path):
    """The statements of an SQL file, without comments."""
    text = re.sub(r"^\s*--.*$", "", path.read_text(encoding="utf-8"), flags=re.M)
    return [statement.strip() for statement in re.split(r";\s*$", text, flags=re.M) if statement.strip()]


def queries(path):
    """The queries of an SQL file by name."""
    found = {}
    for part in path.read_text(encoding="utf-8").split("-- name: ")[1:]:
        name, text = part.split("\n", 1)
        found[name] = re.sub(r"--.*", "", text).strip().rstrip(";")
    return found


COLUMNS = {
    "flows": ("node", "start", "end", "spool", "seq", "idx", "proc_id", "proc_seq", "class", "proto", "src", "src_port", "dst",
              "dst_port", "src_node", "dst_node", "tx_pkts", "tx_bytes", "rx_pkts", "rx_bytes"),
    "events": ("node", "time", "spool", "seq", "idx", "proc_id", "proc_seq", "kind", "text", "tx_pkts", "tx_bytes",
               "rx_pkts", "rx_bytes"),
}
MARK = {"X-ClickHouse-Server-Display-Name": "played"}


def answer_question(query, known=(), columns=None):
    """What a ClickHouse with our tables says to the questions that come before an insert; None for an insert."""
    if query.startswith("SELECT reverse("):
        task = re.search(r"reverse\('([^']+)'\)", query)[1]
        return "".join(f"{name}\n" for name in (task[::-1], *known))
    if query.startswith("DESCRIBE TABLE "):
        table = "events" if "_events`" in query else "flows"
        return "".join(f"{name}\tString\t\t\t\n" for name in (columns or COLUMNS)[table])
    return None


class Played:
    """A collector that answers as a ClickHouse, and inserts as the test says."""

    def __init__(self, collector, known=(), columns=None):
        self.known = known
        self.columns = columns
        self.inserts = []
        self.asked = 0
        self.answers = []
        collector.default = self.answer

    def answer(self, request):
        query = request.query.get("query", "")
        said = answer_question(query, self.known, self.columns)
        if said is not None:
            self.asked += query.startswith("SELECT")
            return Answer(200, MARK, said)
        self.inserts.append(request)
        return self.answers.pop(0) if self.answers else Answer(200, MARK)


class ClickHouse:
    def __init__(self, directory):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("data", "tmp", "files"):
            (directory / name).mkdir()
        (directory / "config.xml").write_text(CONFIG.format(http=self.port, tcp=free_port(), path=directory))
        (directory / "users.xml").write_text(USERS)
        self.process = Process(["clickhouse-server", f"--config-file={directory}/config.xml"],
                               directory / "clickhouse.log", cwd=directory)
        wait_until(self.answers, "clickhouse-server", 60)

    def answers(self):
        assert self.process.running, self.process.text()
        try:
            with urllib.request.urlopen(self.url + "/ping", timeout=5) as answer:
                return answer.read() == b"Ok.\n"
        except OSError:
            return False

    def query(self, sql):
        """The rows of a query, each a list of texts."""
        try:
            with urllib.request.urlopen(self.url, sql.encode(), timeout=60) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{sql[:200]}: {error.read().decode()}") from error
        return [line.split("\t") for line in text.splitlines()]

    def value(self, sql):
        return self.query(sql)[0][0]

    def close(self):
        self.process.terminate(30)
        self.process.close()
