#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares netlogd with other flow counters in Debian: cost of a packet, losses, memory, throughput, idle.

usage: compare.py [ROW ...]      rows: packet scan program throughput memory idle window (default: all)

Needs root; installs what is missing from packaging/test-packages.txt and packaging/bench-packages.txt. The
counters take turns in every round, and medians are printed: on a shared machine only the ratios within one run mean
anything. Figures only, no verdict.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from lib.daemon import Netlogd, build_directory  # noqa: E402
from lib.network import Network  # noqa: E402
from lib.process import run  # noqa: E402
from lib.wait import wait_until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = os.environ.get("SECONDS_EACH", "2")
TICKS = os.sysconf("SC_CLK_TCK")
# Of the packets (tun_blast.c). That in turn flatters: no traffic has it.
ORDERS = {"shuffled": "shuffled", "trains": "in trains, most of few connections", "turn": "in turn"}
BLAST = Path(build_directory()) / "tests/bench/tun_blast"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


class Nothing:
    """The baseline: nobody counts."""
    name = "nobody"

    def __init__(self, stage):
        self.stage = stage

    def pids(self):
        return []

    def start(self):
        pass

    def counted(self):
        return None

    def stop(self):
        pass


class EmptyProgram(Nothing):
    """What any eBPF program costs: one that does nothing, at the same hook."""
    name = "empty program"

    def start(self):
        self.stage.options.append("-e")


class OurOwn(Nothing):
    name = "netlogd"
    settings = {"period": "5s"}

    def __init__(self, stage):
        super().__init__(stage)
        directory = Path(tempfile.mkdtemp(dir=stage.directory))
        # As in its unit: only the test's connections have to fit.
        self.daemon = Netlogd(stage.network, stage.namespace, directory, {
            "tun": {"interface": stage.interface, "source": "ebpf", "max-flows": 131072},
            "sock": {"source": "none"}, "record": self.settings, "routes": {"route": "100.64.0.0/10"}})

    def pids(self):
        return [self.daemon.process.pid]

    def start(self):
        self.daemon.start()

    def counted(self):
        self.daemon.flush(0)
        totals = self.daemon.status()["tun"]
        return totals["totals"]["rxPkts"], totals["overflow"]["rxPkts"]

    def stop(self):
        self.daemon.stop()


class Softflowd(Nothing):
    """As its manual advises for many flows: max_flows above their number; exports to a port that nobody reads."""
    name = "softflowd"

    def __init__(self, stage):
        super().__init__(stage)
        self.control = stage.directory / "softflowd.ctl"
        self.process = None

    def pids(self):
        return [self.process.pid]

    def start(self):
        self.process = self.stage.namespace.start(
            "softflowd", "-d", "-i", self.stage.interface, "-m", "262144", "-n", "127.0.0.1:9995", "-v", "9",
            "-t", "maxlife=60", "-p", self.stage.directory / "softflowd.pid", "-c", self.control, name="softflowd")
        wait_until(self.control.exists, "softflowd's control socket")

    def counted(self):
        text = run(["softflowctl", "-c", self.control, "statistics"]).stdout
        numbers = {line.split(":")[0].strip(): line.split(":")[1].split()[0] for line in text.splitlines()
                   if ":" in line and line.split(":")[1].split()}
        received = int(numbers.get("Packets received by libpcap", 0))
        dropped = int(numbers.get("Packets dropped by libpcap", 0))
        return received - dropped, dropped

    def stop(self):
        self.process.terminate()
        self.control.unlink(missing_ok=True)


class Pmacctd(Nothing):
    """The memory plugin with the buffers of its QUICKSTART for busy links."""
    name = "pmacctd"

    def __init__(self, stage):
        super().__init__(stage)
        self.config = stage.directory / "pmacctd.conf"
        self.config.write_text(
            f"pcap_interface: {stage.interface}\naggregate: src_host,dst_host,src_port,dst_port,proto\n"
            "plugins: memory\n"
            f"imt_path: {stage.directory}/pmacct.pipe\nimt_buckets: 65537\nimt_mem_pools_number: 0\n"
            "plugin_pipe_size: 67108864\nplugin_buffer_size: 65536\n", encoding="ascii")
        self.process = None

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [self.process.pid, *map(int, children.stdout.split())]

    def start(self):
        self.process = self.stage.namespace.start("pmacctd", "-f", self.config, name="pmacctd")
        wait_until((self.stage.directory / "pmacct.pipe").exists, "pmacctd's pipe")

    def counted(self):
        self.process.signal(10)  # SIGUSR1: statistics into the log
        wait_until(lambda: "received_packets=" in self.process.text(), "pmacctd's statistics")
        line = [line for line in self.process.text().splitlines() if "received_packets=" in line][-1]
        numbers = dict(word.split("=") for word in line.replace(",", " ").split() if "=" in word)
        received, dropped = int(numbers["received_packets"]), int(numbers["dropped_packets"])
        return received - dropped, dropped

    def stop(self):
        self.process.terminate()
        (self.stage.directory / "pmacct.pipe").unlink(missing_ok=True)


COUNTERS = [Nothing, EmptyProgram, OurOwn, Softflowd, Pmacctd]


class Stage:
    """A namespace that forwards what comes in by a tun device, as a subnet router does. The device that it
    forwards to (ifb, of a kind that every kernel of the tests has) takes packets and frees them."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="nlb"))
        self.network = Network(self.directory)
        self.options = []
        self.namespace = self.network.namespace()
        self.interface = self.network.interface_name("tb")
        self.namespace.ip("tuntap", "add", "dev", self.interface, "mode", "tun")
        self.namespace.ip("link", "set", self.interface, "up")
        self.namespace.ip("route", "add", "100.64.0.0/10", "dev", self.interface)
        self.namespace.ip("link", "add", "out", "type", "ifb")
        self.namespace.ip("link", "set", "out", "up")
        self.namespace.ip("route", "add", "100.64.0.1", "dev", "out")
        self.namespace.run("sysctl", "-q", "net.ipv4.ip_forward=1")

    def blast(self, connections, seconds=SECONDS, order="turn"):
        return json.loads(self.namespace.run(BLAST, *self.options, "-o", order, self.interface, connections,
                                             seconds).stdout)

    def close(self):
        self.network.close()
        shutil.rmtree(self.directory)


def one_run(kind, connections, order, options):
    stage = Stage()
    stage.options += options
    try:
        counter = kind(stage)
        counter.start()
        pids = counter.pids()
        before = [cpu_seconds(pid) for pid in pids]
        result = stage.blast(connections, order=order)
        result["counterCpuNs"] = sum(cpu_seconds(pid) - was for pid, was in zip(pids, before)) / result["packets"] * 1e9
        result["memory"] = sum(memory(pid) for pid in pids)
        counted = counter.counted()
        result["missed"] = 0.0 if counted is None else 1 - counted[0] / result["packets"]
        counter.stop()
        return result
    finally:
        stage.close()


def compare(title, connections, order="turn", options=()):
    runs = {kind.name: [] for kind in COUNTERS}
    for _ in range(ROUNDS):
        for kind in COUNTERS:
            runs[kind.name].append(one_run(kind, connections, order, options))
    print(f"\n{title}; medians of {ROUNDS} alternating runs of {SECONDS} s")
    print(f"{'':14}{'ns/packet':>10}{'added':>8}{'by the clock':>14}{'own CPU ns/packet':>19}{'missed':>9}{'memory MB':>11}")
    median = {name: {key: statistics.median(r[key] for r in results) for key in results[0]}
              for name, results in runs.items()}
    # The sender's CPU time includes everything that happens to an incoming packet and, unlike wall-clock time,
    # nothing else that the machine does meanwhile.
    for name, m in median.items():
        added, waited = (statistics.median(r[key] - b[key] for r, b in zip(runs[name], runs["nobody"]))
                         for key in ("cpuNs", "wallNs"))
        print(f"{name:14}{m['cpuNs']:10.0f}{added:8.0f}{waited:14.0f}{m['counterCpuNs']:19.0f}{m['missed']:9.2%}"
              f"{m['memory']:11.1f}")


def row_packet():
    compare("64-byte packets into a tun device, one connection", "1")
    for connections in (1000, 10000, 100000):
        for order in ORDERS:
            compare(f"64-byte packets into a tun device, {connections} connections {ORDERS[order]}", str(connections),
                    order)
    compare("64-byte packets into a tun device, 100000 connections shuffled, from an array of prepared packets "
            "that counting displaces from the cache", "100000", "shuffled", ["-p"])
    compare("64-byte packets into a tun device, 100000 connections shuffled, with 2000 multiplications for each, as a "
            "tunnel decrypts, so that softflowd and pmacctd can keep up", "100000", "shuffled", ["-w", "2000"])


def row_scan():
    compare("64-byte packets into a tun device, each a new connection", "scan")


def row_program():
    """The counting program by the kernel's own statistics, under real traffic."""
    with open("/proc/sys/kernel/bpf_stats_enabled", "r+", encoding="ascii") as switch:
        switch.write("1")
        switch.flush()
        try:
            for connections, order in (("1", "turn"), *(("100000", order) for order in ORDERS)):
                figures = [program_run(connections, order) for _ in range(ROUNDS)]
                print(f"\ncount_ingress_raw by the kernel's program statistics, {connections} connections "
                      f"{ORDERS[order]}: {statistics.median(figures):.0f} ns per packet (median of {ROUNDS})")
        finally:
            switch.seek(0)
            switch.write("0")
            switch.flush()


def program_run(connections, order):
    stage = Stage()
    try:
        counter = OurOwn(stage)
        counter.start()
        stage.blast(connections, order=order)
        programs = json.loads(run(["bpftool", "-j", "prog", "show", "name", "count_ingress_r"]).stdout)
        programs = programs if isinstance(programs, list) else [programs]
        busiest = max(programs, key=lambda program: program.get("run_cnt", 0))
        counter.stop()
        return busiest["run_time_ns"] / busiest["run_cnt"]
    finally:
        stage.close()


def iperf(client, server_address):
    result = json.loads(client.run("iperf3", "-c", server_address, "-t", "4", "-O", "1", "-J").stdout)
    return result["end"]["sum_received"]["bits_per_second"] / 1e6


def row_throughput():
    """A wireguard-go tunnel with and without netlogd at the receiving end."""
    directory = Path(tempfile.mkdtemp(prefix="nlb"))
    network = Network(directory)
    try:
        left, right = network.wireguard_pair()
        network.handshake([left, right])
        server = right.namespace.start("iperf3", "-s", "--forceflush", name="iperf3")
        wait_until(lambda: "listening" in server.text().lower(), "iperf3")
        ratios = []
        for i in range(ROUNDS * 2):
            one = Path(tempfile.mkdtemp(dir=directory))
            daemon = Netlogd(network, right.namespace, one, {"tun": {"interface": right.interface},
                                                             "record": {"period": "5s"}})
            # The order alternates between pairs: the machine may warm up or slow down.
            order = (True, False) if i % 2 else (False, True)
            figures = {}
            for with_daemon in order:
                if with_daemon:
                    daemon.start()
                figures[with_daemon] = iperf(left.namespace, right.address)
                if with_daemon:
                    daemon.stop()
            ratios.append(figures[True] / figures[False])
        print(f"\nthroughput of a wireguard-go tunnel with netlogd / without: median {statistics.median(ratios):.3f} "
              f"of {len(ratios)} pairs (from {min(ratios):.3f} to {max(ratios):.3f})")
    finally:
        network.close()
        shutil.rmtree(directory)


def row_memory():
    stage = Stage()
    try:
        ours = OurOwn(stage)
        ours.start()
        pid = ours.daemon.process.pid
        idle = memory(pid)
        peaks = []
        for _ in range(3):
            stage.blast("100000")
            ours.counted()
            peaks.append(memory(pid))
        print(f"\nresident memory of the daemon: idle {idle:.1f} MB, after windows of 100,000 connections "
              f"{statistics.median(peaks):.1f} MB (peak {memory(pid, 'VmHWM'):.1f} MB); kernel maps "
              f"{ours.daemon.status()['tun']['memory'] / 1e6:.1f} MB")
        ours.stop()
    finally:
        stage.close()


def switches(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def row_idle():
    stage = Stage()
    try:
        ours = OurOwn(stage)
        ours.start()
        pids = [ours.daemon.process.pid, ours.daemon.uploader()]
        before = [(cpu_seconds(pid), switches(pid)) for pid in pids]
        stage.namespace.run("sleep", "60", timeout=90)
        for name, pid, (cpu, switched) in zip(("netlogd", "netlogd-upload"), pids, before):
            print(f"\nidle for a minute: {name} {cpu_seconds(pid) - cpu:.2f} s of CPU, "
                  f"{switches(pid) - switched} context switches")
        ours.stop()
    finally:
        stage.close()


class Asker:
    """A client of the control socket that asks again and again; the slowest answer, in seconds."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.slowest = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.is_set():
            begun = time.monotonic()
            self.daemon.status()
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def row_window():
    """A window of 100,000 and of a million connections: CPU of the logger's thread, from its end to its last message
    in the spool, and the slowest answer of the control socket meanwhile."""
    for connections, max_flows in ((100000, 131072), (1000000, 1100000)):
        stage = Stage()
        try:
            ours = OurOwn(stage)
            ours.daemon.configure({"tun": {"max-flows": max_flows}, "record": {"period": "1h"},
                                   "spool": {"max-size": "2G"}})
            ours.start()
            figures = []
            for _ in range(ROUNDS):
                stage.blast(str(connections), max(float(SECONDS), connections / 100000))
                with Asker(ours.daemon) as asker:
                    ours.daemon.flush(0)
                window = ours.daemon.status()["window"]
                figures.append((window["lastCpuUs"], window["lastDelayUs"], window["lastConnections"], asker.slowest))
            cpu, delay, count, slowest = (statistics.median(column) for column in zip(*figures))
            print(f"\na window of {count:.0f} connections: {cpu / 1000:.0f} ms of CPU ({cpu * 1000 / count:.0f} ns each), "
                  f"{delay / 1000:.0f} ms until its last message was handed to the spool, slowest answer of the control "
                  f"socket meanwhile {slowest * 1000:.1f} ms; overflow "
                  f"{ours.daemon.status()['tun']['overflow']['rxPkts']}, conservation failures "
                  f"{ours.daemon.status()['record']['conservationFailures']}")
            ours.stop()
        finally:
            stage.close()


ROWS = {"packet": row_packet, "scan": row_scan, "program": row_program, "throughput": row_throughput,
        "memory": row_memory, "idle": row_idle, "window": row_window}


def install():
    """The peers, as Debian has them; says which."""
    packaging = HERE.parents[1] / "packaging"
    subprocess.run([packaging / "install-packages", packaging / "test-packages.txt", packaging / "bench-packages.txt"],
                   check=True, stdout=subprocess.DEVNULL)
    for package in "softflowd", "pmacct", "iperf3", "wireguard-go":
        print(run(["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", package]).stdout, end="")


def main():
    wanted = sys.argv[1:] or list(ROWS)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        sys.exit(f"compare.py: no such row: {', '.join(unknown)}\n{__doc__}")
    install()
    for name in wanted:
        ROWS[name]()


if __name__ == "__main__":
    main()
