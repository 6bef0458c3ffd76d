# SPDX-License-Identifier: BSD-3-Clause
"""Debian's clickhouse-server, with all its files in a temporary directory."""
import json
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


def before_details(path):
    """The statements of a schema file as they were before tables had columns for details."""
    column = re.compile(r"^ +(%s) .*\n" % "|".join(DETAILS), re.M)
    return [column.sub("", statement) for statement in statements(path)]


def queries(path):
    """The queries of an SQL file by name."""
    found = {}
    for part in path.read_text(encoding="utf-8").split("-- name: ")[1:]:
        name, text = part.split("\n", 1)
        found[name] = re.sub(r"--.*", "", text).strip().rstrip(";")
    return found


DETAILS = ("init", "starts", "ends", "tx_flags", "rx_flags", "tx_drops", "rx_drops", "drop_reason")
COLUMNS = {
    "flows": ("node", "start", "end", "spool", "seq", "idx", "proc_id", "proc_seq", "class", "proto", "src", "src_port", "dst",
              "dst_port", "src_node", "dst_node", "tx_pkts", "tx_bytes", "rx_pkts", "rx_bytes",
              *DETAILS),
    "events": ("node", "time", "spool", "seq", "idx", "proc_id", "proc_seq", "kind", "text", "tx_pkts", "tx_bytes",
               "rx_pkts", "rx_bytes"),
}
# Members of a message whose node 100.64.0.1 opens and is asked for connections, which go well or do not.
NODE = "100.64.0.1"


def entry(port, peer, peer_port, proto=6, **members):
    return {"proto": proto, "src": f"{NODE}:{port}", "dst": f"100.64.0.{peer}:{peer_port}", **members}


CONNECTIONS = '"dstNodes":%s,"virtualTraffic":%s' % (
    json.dumps([{"nodeId": "m", "name": "mallory", "addresses": ["100.64.0.3"]}]),
    json.dumps([
        # Served, asked for and given: two connections, of which one goes on.
        entry(40000, 2, 443, txPkts=9, txBytes=900, rxPkts=8, rxBytes=4000, init="src", starts=2, ends=1, txFlags=27, rxFlags=27),
        entry(22, 7, 60000, txPkts=5, txBytes=500, rxPkts=6, rxBytes=600, init="dst", starts=1, txFlags=18, rxFlags=26),
        # One of an earlier window, which the other end resets; and one that began before anybody looked.
        entry(40007, 2, 443, txPkts=1, txBytes=40, rxPkts=1, rxBytes=40, init="src", ends=1, txFlags=16, rxFlags=20),
        entry(40008, 2, 443, txPkts=1, txBytes=40, rxPkts=1, rxBytes=40, ends=1, txFlags=17, rxFlags=17),
        # Refused by the other end; no answer; stopped by a rule here before anything is known.
        entry(40001, 2, 22, txPkts=1, txBytes=60, rxPkts=1, rxBytes=40, init="src", starts=1, ends=1, txFlags=2, rxFlags=20),
        entry(40006, 6, 443, txPkts=2, txBytes=120, init="src", starts=1, txFlags=194),
        entry(40005, 5, 25, txDrops=4, dropReason="NETFILTER_DROP"),
        # mallory knocks at doors.
        *[entry(port, 3, 50000, rxPkts=3, rxBytes=180, init="dst", starts=1, rxFlags=2, rxDrops=3, dropReason="NETFILTER_DROP")
          for port in (80, 81, 82)],
        entry(8080, 3, 50001, txPkts=1, txBytes=40, rxPkts=1, rxBytes=60, init="dst", starts=1, ends=1, txFlags=20, rxFlags=2),
        # Nobody listens.
        entry(161, 4, 5000, proto=17, rxPkts=2, rxBytes=100, init="dst", starts=1, rxDrops=2, dropReason="NO_SOCKET"),
        # Not refused: the kernel drops the last ACK, having no use for it; and a part of what a full socket is sent.
        entry(443, 8, 60001, txPkts=1, txBytes=40, rxPkts=1, rxBytes=40, init="dst", ends=1, txFlags=17, rxFlags=16, rxDrops=1,
              dropReason="NOT_SPECIFIED"),
        entry(53, 8, 60002, proto=17, rxPkts=10, rxBytes=1000, init="dst", rxDrops=2, dropReason="SOCKET_RCVBUFF"),
    ]))
# What the queries find in them: who, name, whom, protocol, port, how, connections, packets thrown away.
REFUSED = [
    [NODE, "", "100.64.0.5", "6", "25", "NETFILTER_DROP", "0", "4"],
    *[["100.64.0.3", "mallory", NODE, "6", port, "NETFILTER_DROP", "1", "3"] for port in ("80", "81", "82")],
    ["100.64.0.4", "", NODE, "17", "161", "NO_SOCKET", "1", "2"],
    [NODE, "", "100.64.0.2", "6", "22", "reset", "1", "0"],
    [NODE, "", "100.64.0.6", "6", "443", "no answer", "1", "0"],
    ["100.64.0.3", "mallory", NODE, "6", "8080", "reset", "1", "0"],
]
# Source, name, hosts, ports, both, by how many nodes seen.
SCANS = [["100.64.0.3", "mallory", "1", "4", "4", "1"], [NODE, "", "3", "3", "3", "1"]]
# Server, protocol, port, connections, clients, bytes.
SERVICES = [
    ["100.64.0.2", "6", "443", "2", "1", "4980"],
    [NODE, "6", "22", "1", "1", "1100"], [NODE, "6", "80", "1", "1", "180"], [NODE, "6", "81", "1", "1", "180"],
    [NODE, "6", "82", "1", "1", "180"], [NODE, "6", "8080", "1", "1", "100"], [NODE, "17", "161", "1", "1", "100"],
    ["100.64.0.2", "6", "22", "1", "1", "100"], ["100.64.0.6", "6", "443", "1", "1", "120"],
    [NODE, "6", "443", "0", "1", "80"], [NODE, "17", "53", "0", "1", "1000"],
]


def plain(rows):
    """Without what makes an IPv4 address one of IPv6."""
    return [[text.replace("::ffff:", "") for text in row] for row in rows]


MARK = {"X-ClickHouse-Server-Display-Name": "played"}


def answer_question(query, known=(), columns=None):
    """What a ClickHouse with our tables says to the questions that come before an insert; None for an insert."""
    if query.startswith("SELECT reverse("):
        task = re.search(r"reverse\('([^']+)'\)", query)[1]
        return "".join(f"{name}\n" for name in (task[::-1], *known))
    if query.startswith("DESCRIBE TABLE "):
        table = "events" if "_events`" in query else "flows"
        return "".join(f"{name}\t{'UInt32' if name in DETAILS[1:-1] else 'String'}\t\t\t\n" for name in (columns or COLUMNS)[table])
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
