# SPDX-License-Identifier: BSD-3-Clause
"""Two ends of a tunnel with netlogd on both: what one sent, the other received."""
from .probe import tunnel_counters
from .traffic import Counts, sums
from .wait import wait_until


def mirrored(counts):
    return Counts(counts.rxPkts, counts.rxBytes, counts.txPkts, counts.txBytes)


def _udp_drops(end):
    """Datagrams dropped by the sockets that receive the tunnel's datagrams."""
    drops = 0
    with end.namespace.inside():
        for name in "udp", "udp6":
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as table:
                for line in list(table)[1:]:
                    words = line.split()
                    if int(words[1].rpartition(":")[2], 16) == end.port:
                        drops += int(words[-1])
    return drops


def drops(end, links=()):
    """All counters of packets lost at an end, by name."""
    found = {"datagrams dropped by the tunnel's socket": _udp_drops(end)}
    for interface in (end.interface, *links):
        stats = end.namespace.statistics(interface)
        for direction in "rx", "tx":
            for name in "dropped", "errors":
                found[f"{interface} {direction} {name}"] = stats[direction][name]
    return found


def lost(before, after):
    """The counters that rose, and by how much."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


class End:
    """One end, counted from a moment when the tunnel was quiet."""

    def __init__(self, tunnel, make_daemon, link=None, **sections):
        self.tunnel = tunnel
        self.links = [link] if link else []
        self.daemon = make_daemon(tunnel.namespace, {"tun": {"interface": tunnel.interface}, **sections})
        self.start = None
        self.drops = None

    def begin(self):
        def quiet():
            before = tunnel_counters(self.tunnel)
            self.daemon.start()
            if tunnel_counters(self.tunnel) == before:
                return before
            self.daemon.stop()
            return None
        self.start = wait_until(quiet, "a start without traffic", 60)
        self.drops = drops(self.tunnel, self.links)

    def lost(self):
        return lost(self.drops, drops(self.tunnel, self.links))

    def finish(self):
        """Stops counting at a quiet moment. Returns what the tunnel itself counted, (rx, tx), and the messages."""
        def quiet():
            before = tunnel_counters(self.tunnel)
            self.daemon.flush()
            return tunnel_counters(self.tunnel) == before and before
        end = wait_until(quiet, "a moment without traffic", 60)
        status = self.daemon.status()
        for layer in "tun", "sock":
            assert status[layer]["conservationFailures"] == 0
            assert status[layer].get("errors", 0) == 0
        assert status["record"]["conservationFailures"] == 0
        messages = self.daemon.spool_messages()
        self.daemon.stop()
        return (end[0] - self.start[0], end[1] - self.start[1]), messages, status


def between(messages, ends):
    """{(proto, src, dst): Counts} of the connections between the two ends' tunnel addresses only.

    Leaves out the kernel's multicast: it goes into the tunnel, which has no peer for it.
    """
    def host(text):
        return text.rpartition(":")[0].strip("[]") if text else ""
    addresses = {address for end in ends for address in (end.address, end.address6) if address}
    return {key: counts for key, counts in sums(messages, ("virtualTraffic",)).items()
            if host(key[1]) in addresses and host(key[2]) in addresses}


def other_side(connections):
    """The same connections as the other end should see them."""
    return {(proto, destination, source): mirrored(counts)
            for (proto, source, destination), counts in connections.items()}
