# SPDX-License-Identifier: BSD-3-Clause
"""What depends on the kernel: kernel WireGuard, and counting on it. tests/vm/run runs this on other kernels."""
import json
import os

import pytest

from lib import bpf, traffic
from lib.process import run
from lib.tun import Tun
from lib.wait import wait_until

SIZE = 200


@pytest.fixture
def wireguard_module(network):
    namespace = network.namespace()
    if run(["ip", "-n", namespace.name, "link", "add", "wgprobe", "type", "wireguard"], check=False).returncode != 0:
        pytest.skip("this kernel has no WireGuard")


@pytest.fixture
def ends(network, wireguard_module):
    ends = network.wireguard_pair(addresses6=("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2"), kernel=True)
    network.handshake(ends)
    ends[0].namespace.run("ping", "-6", "-c", "1", "-W", "10", ends[1].address6)
    return ends


def sections(end, collector, **record):
    return {
        "tun": {"interface": end.interface}, "record": {"period": "1h", **record},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "c"}}


def transfer(end):
    """The tunnel's own counters: bytes received and sent, of the datagrams' payload."""
    line = end.namespace.run("wg", "show", end.interface, "transfer").stdout.split()
    return int(line[1]), int(line[2])


def test_kernel_wireguard_to_the_byte(ends, netlogd, collector_in):
    left, right = ends
    collector = collector_in(left.namespace)
    # A keepalive may come while the daemon starts or after it flushed: these are the bounds.
    earliest = transfer(left)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    latest = transfer(left)
    counts = {False: traffic.send_udp(left, right, 300, SIZE, back=200),
              True: traffic.send_udp(left, right, 100, 1200, back=50, ipv6=True)}
    sent = transfer(left)
    assert daemon.flush(deadline_ms=30000)["pendingMessages"] == 0
    after = transfer(left)
    messages = collector.messages
    sums = traffic.sums(messages, ("virtualTraffic",))
    for ipv6, expected in counts.items():
        addresses = (left.address6, right.address6) if ipv6 else (left.address, right.address)
        assert sums[traffic.connection_key(17, addresses[0], 40000, addresses[1], 40001)] == expected
    physical = traffic.sums(messages, ("physicalTraffic",))
    (counted,) = physical.values()
    assert list(physical) == [(0, f"{right.address}:0", "192.0.2.2:51821")]
    assert counted.txPkts >= 400 and counted.rxPkts >= 250
    assert sent[1] - latest[1] <= counted.txBytes <= after[1] - earliest[1]
    assert sent[0] - latest[0] <= counted.rxBytes <= after[0] - earliest[0]
    status = daemon.status()
    assert status["sock"]["source"] == "wireguard" and status["record"]["conservationFailures"] == 0
    daemon.stop()


def test_large_segments_of_kernel_wireguard(ends, netlogd, collector_in):
    """The table holds what iperf3 moved, with the headers of the real packets and not of superpackets."""
    left, right = ends
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    # A small window, so that nothing is dropped and retransmitted.
    end = traffic.Iperf3(right, left, "-n", "8M", "-w", "64K").result()["end"]
    daemon.flush(deadline_ms=30000)
    counts = [counts for (proto, _, dst), counts in traffic.sums(collector.messages).items()
              if proto == 6 and dst == f"{right.address}:5201"]
    sent = sum(entry.txBytes for entry in counts)
    packets = sum(entry.txPkts for entry in counts)
    assert end["sum_received"]["bytes"] <= sent <= 1.1 * end["sum_sent"]["bytes"]
    # At most 1420 per packet; a superpacket counted as one would have 64 kB.
    assert packets * 1420 >= sent
    assert daemon.status()["record"]["conservationFailures"] == 0


@pytest.mark.parametrize("source", ["ebpf", "packet"])
def test_every_packet_while_windows_change(network, netlogd, collector_in, source):
    tun = Tun(network, network.namespace())
    tun.namespace.ip("address", "add", "100.64.0.3/16", "dev", tun.interface)
    collector = collector_in(tun.namespace)
    configuration = sections(tun, collector, period="100ms")
    configuration["tun"]["source"] = source
    configuration["sock"] = {"source": "none"}
    configuration["routes"] = {"mode": "static", "local-addr": "100.64.0.1,100.64.0.3", "route": "100.64.0.0/16"}
    daemon = netlogd(tun.namespace, configuration).start()
    cpus = sorted(os.sched_getaffinity(0))[:2]
    sent = traffic.Flood(tun.namespace, ["100.64.0.1", "100.64.0.3"], "100.64.0.9", 5, cpus, SIZE, ports=32).result()
    daemon.flush(deadline_ms=60000)
    total = traffic.total(collector.messages, overflow=True)
    if source == "packet":
        # It sees packets after the device's queue, which two CPUs together may overflow.
        queue = json.loads(tun.namespace.run("tc", "-s", "-j", "qdisc", "show", "dev", tun.interface).stdout)
        assert total.txPkts + queue[0]["drops"] == sent
    else:
        assert total == traffic.Counts(sent, sent * (SIZE + traffic.UDP4_HEADERS), 0, 0)
    assert daemon.status()["record"]["conservationFailures"] == 0


def test_attachment_fits_the_kernel(network, netlogd):
    """TCX where the kernel has it, clsact elsewhere; no counting program survives a SIGKILL."""
    tun = Tun(network, network.namespace())
    daemon = netlogd(tun.namespace, {"tun": {"interface": tun.interface}, "sock": {"source": "none"}}).start()
    has_tcx = bpf.tcx_programs(tun.namespace, tun.interface, 46) is not None
    status = daemon.status()["tun"]
    assert (status["source"], status["attachment"]) == ("ebpf", "tcx" if has_tcx else "clsact")
    assert has_tcx or status["reason"]
    daemon.kill()
    if has_tcx:
        wait_until(lambda: not bpf.attached(tun.namespace, tun.interface), "the kernel to detach the programs")
    # With clsact a stub stays behind; the next run replaces it and then removes it.
    daemon.start()
    assert len(bpf.attached(tun.namespace, tun.interface)) == 2
    daemon.stop()
    assert bpf.attached(tun.namespace, tun.interface) == []
