# SPDX-License-Identifier: BSD-3-Clause
"""The main job: known packets through a real tunnel, and the exact bytes that the collector receives."""
import re

import pytest

from lib import traffic
from lib.daemon import Tailer

TIME = r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,8}[1-9]|\.[1-9])?Z"'
LOGTAIL = rf'"logtail":\{{"client_time":{TIME},"proc_id":[1-9]\d*,"proc_seq":2\}}'


def wireguard_bytes(packet):
    """The datagram that carries an IP packet: header, index, counter, padding to 16, tag (wireguard.com/protocol)."""
    return 16 + (packet + 15) // 16 * 16 + 16


def sections(end, collector, **record):
    return {
        "node": {"id": "n123"},
        "tun": {"interface": end.interface},
        "routes": {"mode": "static", "local-addr": end.address, "route": "100.64.0.2,10.1.2.0/24"},
        # The test ends the windows.
        "record": {"period": "1h", **record},
        "upload test": {"type": "logtail", "url": collector.url, "collection": "flows"},
    }


@pytest.fixture
def tunnel(network):
    """The right end also answers for a subnet and for an address beyond all routes."""
    left, right = network.wireguard_pair()
    left.namespace.run("wg", "set", left.interface, "peer", right.public_key,
                       "allowed-ips", "100.64.0.2/32,10.1.2.0/24,203.0.113.9/32")
    left.namespace.ip("route", "add", "10.1.2.0/24", "dev", left.interface)
    left.namespace.ip("route", "add", "203.0.113.9/32", "dev", left.interface)
    for address in "10.1.2.3/32", "203.0.113.9/32":
        right.namespace.ip("address", "add", address, "dev", "lo")
    network.handshake((left, right))
    return left, right


def send(left, right, destination, count, size):
    with traffic.udp_socket(left.namespace, left.address, 40000) as a, \
            traffic.udp_socket(right.namespace, destination, 40001) as b:
        b.settimeout(20)
        for _ in range(count):
            a.sendto(bytes(size), (destination, 40001))
            b.recv(65536)


def test_exact_bytes(tunnel, netlogd, collector_in):
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    traffic.send_udp(left, right, 3, 100, back=2)
    send(left, right, "10.1.2.3", 1, 500)
    send(left, right, "203.0.113.9", 4, 1000)
    assert daemon.flush() == {"pendingMessages": 0, "pendingBytes": 0}

    # 3 of 128 bytes, 1 of 528, 4 of 1028, and 2 of 128 back, each in its own datagram
    sent = 3 * wireguard_bytes(128) + wireguard_bytes(528) + 4 * wireguard_bytes(1028)
    received = 2 * wireguard_bytes(128)
    expected = (
        r'\[\{' + LOGTAIL + rf',"nodeId":"n123","start":{TIME},"end":{TIME},'
        # The peer is a node without a name, and this end one that nobody has named either.
        + re.escape('"srcNode":{"nodeId":"n123","name":"n123","addresses":["100.64.0.1"]},'
                    f'"dstNodes":[{{"nodeId":"{right.public_key}","name":"{right.public_key[:8]}",'
                    '"addresses":["100.64.0.2","203.0.113.9"]}],'
                    '"virtualTraffic":[{"proto":17,"src":"100.64.0.1:40000","dst":"100.64.0.2:40001",'
                    '"txPkts":3,"txBytes":384,"rxPkts":2,"rxBytes":256}],'
                    '"subnetTraffic":[{"proto":17,"src":"100.64.0.1:40000","dst":"10.1.2.3:40001","txPkts":1,"txBytes":528}],'
                    '"exitTraffic":[{"proto":0,"src":"","dst":"","txPkts":4,"txBytes":4112}],'
                    '"physicalTraffic":[{"proto":0,"src":"100.64.0.2:0","dst":"192.0.2.2:51821",'
                    f'"txPkts":8,"txBytes":{sent},"rxPkts":2,"rxBytes":{received}}}]')
        + r'\}\]')
    request = next(request for request in collector.accepted if any("virtualTraffic" in m for m in request.messages))
    assert re.fullmatch(expected, request.body.decode()), request.body.decode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-encoding"] == "zstd"
    assert int(request.headers["orig-content-length"]) == len(request.body)
    assert re.fullmatch(r"/c/flows/[0-9a-f]{64}", request.path)
    daemon.stop()
    texts = traffic.texts(collector.messages)
    assert len(texts) == 2 and "started" in texts[0] and "stopped" in texts[1]
    assert [message["logtail"]["proc_seq"] for message in collector.messages] == [1, 2, 3]


@pytest.mark.parametrize("mode, entry", [
    ("anonymize", {"proto": 0, "src": "100.64.0.1:0", "dst": "", "txPkts": 4, "txBytes": 4112}),
    ("full", {"proto": 17, "src": "100.64.0.1:40000", "dst": "203.0.113.9:40001", "txPkts": 4, "txBytes": 4112}),
])
def test_exit_traffic(tunnel, netlogd, collector_in, mode, entry):
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector, **{"exit-traffic": mode})).start()
    send(left, right, "203.0.113.9", 4, 1000)
    daemon.flush()
    (message,) = [message for message in collector.messages if "start" in message]
    assert message["exitTraffic"] == [entry]


def test_ignored_address(tunnel, netlogd, collector_in):
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector, **{"ignore-addr": "203.0.113.9"})).start()
    send(left, right, "203.0.113.9", 4, 1000)
    send(left, right, "10.1.2.3", 1, 500)
    daemon.flush()
    (message,) = [message for message in collector.messages if "start" in message]
    assert "exitTraffic" not in message and message["subnetTraffic"][0]["txPkts"] == 1
    status = daemon.status()
    assert status["record"]["ignored"] == {"txPkts": 4, "txBytes": 4112, "rxPkts": 0, "rxBytes": 0}
    assert status["record"]["conservationFailures"] == 0


def test_route_change_splits_what_came_before(tunnel, netlogd, collector_in):
    """Reconfig extracts first: what came before it is classified with the old routes, in the same window."""
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    send(left, right, "203.0.113.9", 1, 100)
    daemon.call("Reconfig", routes={"localAddrs": ["100.64.0.1"], "routes": ["100.64.0.2", "203.0.113.0/24"],
                                    "subnetRoutes": []})
    send(left, right, "203.0.113.9", 2, 100)
    daemon.flush()
    (message,) = [message for message in collector.messages if "start" in message]
    assert message["exitTraffic"] == [{"proto": 0, "src": "", "dst": "", "txPkts": 1, "txBytes": 128}]
    assert message["subnetTraffic"] == [{"proto": 17, "src": "100.64.0.1:40000", "dst": "203.0.113.9:40001",
                                         "txPkts": 2, "txBytes": 256}]


def test_auto_routes_of_a_tunnel(tunnel, netlogd, collector_in):
    """Mode auto finds the routes that test_exact_bytes configures."""
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, {**sections(left, collector), "routes": {"mode": "auto"}}).start()
    traffic.send_udp(left, right, 3, 100)
    send(left, right, "10.1.2.3", 1, 500)
    daemon.flush()
    (message,) = [message for message in collector.messages if "start" in message]
    assert [entry["dst"] for entry in message["virtualTraffic"]] == ["100.64.0.2:40001"]
    assert [entry["dst"] for entry in message["subnetTraffic"]] == ["10.1.2.3:40001"]


def test_tail_shows_what_the_collector_gets(tunnel, netlogd, collector_in):
    left, right = tunnel
    collector = collector_in(left.namespace)
    daemon = netlogd(left.namespace, sections(left, collector)).start()
    with Tailer(daemon) as tail:
        traffic.send_udp(left, right, 5, 100)
        daemon.flush()
        message = tail.until(lambda messages: any("start" in m for m in messages), "the window's message")[-1]
    assert message in collector.messages
