# SPDX-License-Identifier: BSD-3-Clause
"""The collector's own memory, without the kernel's maps: idle, and at most, in windows of 100,000 TCP connections."""
import math
import re
import struct
import threading

import pytest

from lib.daemon import sanitized
from lib.tun import Tun

CONNECTIONS = 100_000
WINDOWS = 4
# MiB; sanitizers use memory of their own.
IDLE_MAX = math.inf if sanitized() else 8
PEAK_MAX = math.inf if sanitized() else 24
SYN, FIN, ACK = 0x02, 0x01, 0x10

@pytest.fixture
def tun(network):
    return Tun(network, network.namespace(), address="100.64.0.1/10")


@pytest.fixture
def daemon(tun, netlogd):
    return netlogd(tun.namespace, {
        "tun": {"interface": tun.interface, "source": "ebpf", "max-flows": CONNECTIONS}, "sock": {"source": "none"},
        "record": {"period": "1h", "heartbeat": "0", "drops": "no"},
        "routes": {"route": "100.64.0.0/10"}}).start()


def send(tun, first, *flags):
    """A packet with each of these flags of each of so many connections. Their checksums are wrong: no answers."""
    packet = bytearray(struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 0, 0, 64, 6, 1, bytes(4),
                                   bytes([100, 64, 0, 1]), 0, 443, 0, 0, 0x50, 0, 1024, 0, 0))
    for number in range(first, first + CONNECTIONS):
        struct.pack_into("!IIH", packet, 12, 0x64408000 + number // 16, 0x64400001, 20000 + number % 16)
        for flag in flags:
            packet[33] = flag
            tun.write(packet)


def resident(pid, kind):
    """Of its memory, what is of this kind (Anon, File, Shmem), in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"Rss{kind}:")) / 1024


def mapped(pid):
    """What of the kernel's maps counts as the process's memory, in MiB."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps.read(), flags=re.MULTILINE)
    return sum(int(re.search(r"^Rss: +(\d+) kB", part, re.MULTILINE)[1]) for part in parts
               if "anon_inode:bpf-map" in part.partition("\n")[0]) / 1024


class Peak:
    """Within it, the process's own memory is looked at every millisecond: the kernel's own peak (VmHWM) counts what
    is mapped of the maps for a moment, too. Then `value` is the most, in MiB."""

    def __init__(self, pid):
        self.pid = pid
        self.value = 0.0
        self.looks = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self):
        while not self.end.wait(0.001):
            self.value = max(self.value, resident(self.pid, "Anon"))
            self.looks += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        self.value += resident(self.pid, "File") + resident(self.pid, "Shmem") - mapped(self.pid)


def test_idle(daemon):
    pid = daemon.process.pid
    daemon.flush()
    with Peak(pid) as peak:
        daemon.flush()
    assert peak.value <= IDLE_MAX


@pytest.mark.parametrize("kind", ["old", "new"])
def test_peak(daemon, tun, kind):
    peaks = []
    send(tun, 0, SYN)
    daemon.flush(60000)
    for window in range(1, WINDOWS + 1):
        if kind == "old":
            send(tun, 0, ACK)
        else:
            send(tun, window * CONNECTIONS, SYN, FIN | ACK)
        with Peak(daemon.process.pid) as peak:
            daemon.flush(60000)
        assert peak.looks >= 10
        peaks.append(peak.value)
    print(f"{kind}: at most {max(peaks):.1f} MiB")
    status = daemon.status()
    assert status["tun"]["totals"]["rxPkts"] == CONNECTIONS * (1 + WINDOWS * (1 if kind == "old" else 2))
    assert status["tun"]["overflow"]["rxPkts"] == 0
    assert status["record"]["conservationFailures"] == 0
    assert max(peaks) <= PEAK_MAX, peaks
