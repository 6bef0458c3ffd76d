#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a large tunnel costs a running daemon: many peers, and routes that change all the time.

usage: scale.py [BUILD] [ROW ...]      rows: peers churn (default: all)

peers: 2,000 peers with 20,000 allowed IPs (wireguard-go's socket, and beside it the kernel's WireGuard where there is
one): CPU time of a window's end while nothing happens, and while 200 peers have changed their endpoints or allowed IPs.
churn: 3,000 changes of routes a second (added and removed by `ip -batch`), of another interface and of the tunnel's
own: CPU time of the daemon in percent of one CPU. The tunnel has the 2,000 peers here, too, and windows of 5 s.

Needs root. Figures only, no verdict; on a shared machine the medians count.
"""
import base64
import hashlib
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
    os.environ["NETLOGD_BUILD"] = sys.argv.pop(1)

from lib.daemon import Netlogd  # noqa: E402
from lib.network import Network  # noqa: E402
from lib.process import run  # noqa: E402
from lib.wait import wait_until  # noqa: E402

PEERS, ALLOWED, CHANGED = 2000, 10, 200
WINDOWS, ROUNDS, SECONDS, CHANGES = 15, 3, 10, 3000


def cpu_seconds(pid):
    """Of all threads, to the microsecond."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def key(number):
    """A public key that need not be anybody's."""
    return base64.b64encode(hashlib.sha256(b"%d" % number).digest()).decode()


def peer_lines(number, generation=0):
    prefixes = [f"10.{number >> 5}.{(number & 31) * 8 + i // 2}.{i % 2 * 64 + generation % 64}/32" for i in range(ALLOWED)]
    return [f"[Peer]\nPublicKey = {KEYS[number]}\nAllowedIPs = {','.join(prefixes)}\n"
            f"Endpoint = 198.18.{number >> 8}.{number & 255}:{51820 + generation}\n"]


def set_up(network, kernel):
    namespace = network.namespace()
    namespace.ip("link", "add", "under", "type", "veth", "peer", "name", "beyond")
    namespace.ip("link", "set", "beyond", "up")
    namespace.ip("address", "add", "198.18.255.1/15", "dev", "under")
    namespace.ip("link", "set", "under", "up")
    if kernel:
        interface = network.interface_name("wg")
        if namespace.run("ip", "link", "add", interface, "type", "wireguard", check=False).returncode != 0:
            return namespace, None
    else:
        _, interface = network.wireguard_go(namespace)
    configure(namespace, interface, range(PEERS), 0, "setconf")
    namespace.ip("address", "add", "10.255.0.1/32", "dev", interface)
    namespace.ip("link", "set", interface, "up")
    return namespace, interface


def configure(namespace, interface, numbers, generation, command="addconf"):
    private = run(["wg", "genkey"]).stdout
    text = f"[Interface]\nPrivateKey = {private}ListenPort = 51820\n" if command == "setconf" else ""
    text += "".join(line for number in numbers for line in peer_lines(number, generation))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        namespace.run("wg", command, interface, file.name, timeout=120)


def start(network, namespace, interface, directory, period="1h"):
    directory.mkdir()
    daemon = Netlogd(network, namespace, directory, {
        "tun": {"interface": interface}, "record": {"period": period}, "spool": {"max-size": "64M"}})
    return daemon.start(timeout=60)


def measure_window(daemon):
    """Milliseconds of CPU: of the window's end, and of the whole daemon meanwhile."""
    before = cpu_seconds(daemon.process.pid)
    windows = daemon.status()["record"]["windows"]
    daemon.flush(0)
    window = wait_until(lambda: (status := daemon.status())["record"]["windows"] > windows and status["window"],
                        "the window's end")
    return window["lastCpuUs"] / 1000, (cpu_seconds(daemon.process.pid) - before) * 1000


def tell(what, measured):
    ends, wholes = zip(*measured)
    print(f"{what}: window's end {statistics.median(ends):.1f} ms of CPU ({min(ends):.1f} to {max(ends):.1f}), "
          f"the whole daemon {statistics.median(wholes):.1f} ms", flush=True)


def peers(network, path):
    for kernel in False, True:
        name = "kernel" if kernel else "wireguard-go"
        namespace, interface = set_up(network, kernel)
        if not interface:
            print(f"{name}: this kernel has no WireGuard")
            continue
        daemon = start(network, namespace, interface, path / name)
        measure_window(daemon)
        tell(f"{name}, {PEERS} peers with {PEERS * ALLOWED} allowed IPs, nothing happens",
             [measure_window(daemon) for _ in range(WINDOWS)])
        changed = []
        for generation in range(1, WINDOWS + 1):
            configure(namespace, interface, range(CHANGED), generation)
            changed.append(measure_window(daemon))
        tell(f"{name}, {CHANGED} peers have other allowed IPs and endpoints", changed)
        print(f"{name}: {daemon.status()['memory'] / 1e6:.1f} MB resident")
        daemon.stop()


def change_routes(namespace, device):
    """Adds and removes routes for some seconds, at the pace asked for. Returns how many changes there were."""
    process = subprocess.Popen(namespace.prefix(["ip", "-force", "-batch", "-"]), stdin=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE)
    begun, changes = time.monotonic(), 0
    while (now := time.monotonic()) - begun < SECONDS:
        due = int((now - begun) * CHANGES) - changes
        # A machine that stood still catches up in steps.
        due = min(due, 400)
        if due < 100:
            select.select([], [], [], 0.01)
            continue
        # A hundred are there at a time.
        for way in "add", "del":
            for number in range(due // 2):
                process.stdin.write(f"route {way} 172.16.{(changes // 2 + number) % 256}.0/24 dev {device}\n")
        process.stdin.flush()
        changes += due // 2 * 2
    process.stdin.close()
    errors = process.stderr.read()
    assert process.wait(60) == 0 and not errors, errors[:200]
    return changes


def churn(network, path):
    namespace, interface = set_up(network, False)
    daemon = start(network, namespace, interface, path / "churn", period="5s")
    for what, device in (("no change", None), ("another interface", "beyond"), ("the tunnel's interface", interface)):
        figures, reads = [], daemon.status()["routes"]["kernelReads"]
        for _ in range(ROUNDS):
            begun, cpu, changes = time.monotonic(), cpu_seconds(daemon.process.pid), 0
            if device:
                changes = change_routes(namespace, device)
            else:
                select.select([], [], [], SECONDS)
            seconds = time.monotonic() - begun
            figures.append(((cpu_seconds(daemon.process.pid) - cpu) / seconds * 100, changes / seconds))
        percent, pace = (statistics.median(values) for values in zip(*figures))
        print(f"routes, {what}: {pace:.0f} changes a second, the daemon takes {percent:.2f} % of a CPU; "
              f"{daemon.status()['routes']['kernelReads'] - reads} readings of all routes", flush=True)
    daemon.stop()


KEYS = []


def main():
    rows = sys.argv[1:] or ["peers", "churn"]
    for number in range(PEERS):
        KEYS.append(key(number))
    path = Path(tempfile.mkdtemp(prefix="nlbench"))
    network = Network(path)
    try:
        for row in rows:
            {"peers": peers, "churn": churn}[row](network, path)
    finally:
        network.close()
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
