#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `netlogctl flows` takes for a spool of a million entries between 2,000 nodes, each with two addresses.

node_sums.py BUILD [OTHER-BUILD]: with two builds they take turns, and the ratio of the medians is printed. The first
one makes the spool.
"""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

NODES, ENTRIES, PER_MESSAGE, RUNS = 2000, 1_000_000, 1000, 5


def addresses(n):
    return [f"100.64.{1 + n // 250}.{n % 250}", f"fd7a:115c:a1e0::{n + 2:x}"]


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def messages(nodes):
    chance = random.Random(12)
    identity = [{"nodeId": f"n{n:04}", "name": f"node-{n}.example.net", "addresses": addresses(n),
                 "os": "linux", "tags": ["tag:server"]} for n in range(NODES)]
    itself = {"nodeId": "self", "name": "gate.example.net", "addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"]}
    for sequence in range(ENTRIES // PER_MESSAGE):
        at = f"2026-11-22T{sequence // 720 % 24:02}:{sequence // 12 % 60:02}:{sequence % 12 * 5:02}Z"
        seen, entries = set(), []
        for _ in range(PER_MESSAGE):
            # Few nodes have most of the traffic.
            peer, version = min(int(chance.expovariate(1 / 400)), NODES - 1), chance.randrange(2)
            seen.add(peer)
            entries.append({"proto": 6, "src": endpoint(itself["addresses"][version], chance.randrange(32768, 61000)),
                            "dst": endpoint(addresses(peer)[version], chance.choice((22, 53, 80, 443))),
                            "txPkts": chance.randrange(1, 99), "txBytes": chance.randrange(60, 99999),
                            "rxPkts": chance.randrange(1, 99), "rxBytes": chance.randrange(60, 99999)})
        message = {"logtail": {"client_time": at, "proc_id": 5, "proc_seq": sequence + 1}, "nodeId": "self",
                   "start": at, "end": at}
        if nodes:
            message |= {"srcNode": itself, "dstNodes": [identity[n] for n in sorted(seen)]}
        yield message | {"virtualTraffic": entries}


def measure(build, spool, *options):
    """Seconds of CPU, and MiB at most."""
    command = [f"{build}/control/netlogctl", "flows", "--spool", spool, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(builds, spool, title, *options):
    taken = {build: [] for build in builds}
    for _ in range(RUNS):
        for build in builds:
            taken[build].append(measure(build, spool, *options))
    medians = [statistics.median(seconds for seconds, _ in taken[build]) for build in builds]
    sizes = [max(size for _, size in taken[build]) for build in builds]
    print(f"{title:42}", "  ".join(f"{seconds:6.3f} s {size:6.1f} MiB" for seconds, size in zip(medians, sizes)),
          f"  ratio {medians[0] / medians[1]:.2f}" if len(builds) == 2 else "", flush=True)


def main():
    builds = sys.argv[1:]
    if not builds or len(builds) > 2:
        sys.exit(__doc__)
    for nodes in True, False:
        with tempfile.TemporaryDirectory() as directory:
            lines, spool = f"{directory}/lines", f"{directory}/spool"
            with open(lines, "w", encoding="ascii") as file:
                for message in messages(nodes):
                    file.write(json.dumps(message, separators=(",", ":")) + "\n")
            subprocess.run([f"{builds[0]}/tests/integration/spool-fill", spool, "0", "--lines", lines], check=True)
            os.unlink(lines)
            kind = "nodes" if nodes else "no nodes"
            for group in "pair", "peer", "class", "connection":
                compare(builds, spool, f"{kind}, --by {group}", "--by", group)
            compare(builds[:1], spool, f"{kind}, --by pair --addr 100.64.1.9", "--by", "pair", "--addr", "100.64.1.9")
            if nodes:
                compare(builds[:1], spool, "--by pair --node node-9", "--by", "pair", "--node", "node-9")


if __name__ == "__main__":
    main()
