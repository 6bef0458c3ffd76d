# SPDX-License-Identifier: BSD-3-Clause
"""The message's JSON Schema refuses what is no message, and the check of all tests' messages notices it."""
import copy

import pytest

from lib.schema import Checker, errors

HEAD = {"client_time": "2022-10-13T20:23:14.7Z", "proc_id": 353457853, "proc_seq": 7}
NODE = {"nodeId": "n1", "name": "gate", "addresses": ["100.64.0.1", "fd7a::1"], "os": "linux", "tags": ["tag:a"]}
WINDOW = {
    "logtail": HEAD, "nodeId": "n1", "start": "2022-10-13T20:23:09.644Z", "end": "2022-10-13T20:23:14.644000001Z",
    "srcNode": NODE, "dstNodes": [{"nodeId": "n2", "user": "ann"}],
    "virtualTraffic": [{"proto": 6, "src": "100.64.0.1:22", "dst": "[fd7a::2]:42912", "txPkts": 80, "txBytes": 8140, "rxPkts": 52,
                        "rxBytes": 5164, "init": "dst", "starts": 1, "ends": 1, "txFlags": 27, "rxFlags": 255}],
    "subnetTraffic": [{"proto": 17, "src": "100.64.0.1:53", "dst": "10.0.0.1:53", "rxDrops": 3, "dropReason": "NO_SOCKET"}],
    "exitTraffic": [{"proto": 0, "src": "", "dst": "", "txPkts": 1, "txBytes": 60}],
    "physicalTraffic": [{"proto": 0, "src": "100.64.0.2:0", "dst": "127.3.3.40:4", "txBytes": 10732}],
    "overflow": {"tun": {"rxPkts": 12, "rxBytes": 768}},
}
TEXT = {"logtail": HEAD, "text": "netlogd: peer gate is active at 192.0.2.2:51820", "event": {
    "type": "peer-active", "peer": "gate", "nodeId": "n2", "publicKey": "A" * 42 + "E=", "address": "100.64.0.2", "path": "direct",
    "endpoint": "192.0.2.2:51820", "lastHandshake": "2022-10-13T20:23:14Z"}}
LOSS = {"logtail": {"client_time": "2022-10-13T20:23:14Z", "proc_id": 1}, "text": "netlogd: lost 2 messages (9 bytes): spool full",
        "event": {"type": "lost", "messages": 2, "bytes": 9, "reason": "spool full", "sink": "main"}}
START = {"logtail": HEAD, "text": "netlogd: started", "event": {
    "type": "started", "version": "1", "tun": {"device": "tun", "source": "ebpf", "target": "wg0"},
    "sock": {"device": "sock", "source": "none"}, "routes": "auto"}}


def changed(message, *path, value=None):
    """A copy with another value at the path's end; without one, that member is left out."""
    message = copy.deepcopy(message)
    at = message
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return message


@pytest.mark.parametrize("message", [WINDOW, TEXT, LOSS, START], ids=["window", "text", "loss", "start"])
def test_messages(message):
    assert errors(message) == []


ENTRY = ("virtualTraffic", 0)


@pytest.mark.parametrize("message", [
    changed(WINDOW, "logtail"), changed(WINDOW, "start"), changed(WINDOW, "logtail", "proc_seq"),
    changed(WINDOW, "logtail", "proc_id", value=0), changed(WINDOW, "logtail", "proc_id", value=1 << 32),
    changed(WINDOW, "logtail", "more", value=1), changed(WINDOW, "more", value=1), changed(WINDOW, "event", value={"type": "stopped"}),
    changed(WINDOW, "end", value="2022-10-13T20:23:14.640Z"), changed(WINDOW, "end", value="2022-10-13T20:23:14+00:00"),
    changed(WINDOW, "virtualTraffic", value=[]), changed(WINDOW, "overflow", value={}), changed(WINDOW, "overflow", "wan", value={}),
    changed(WINDOW, *ENTRY, "proto"), changed(WINDOW, *ENTRY, "proto", value=256), changed(WINDOW, *ENTRY, "txPkts", value=0),
    changed(WINDOW, *ENTRY, "txPkts", value=1 << 63), changed(WINDOW, *ENTRY, "txPkts", value="1"),
    changed(WINDOW, *ENTRY, "src", value="100.64.0.1"), changed(WINDOW, *ENTRY, "src", value="fd7a::1:22"),
    changed(WINDOW, *ENTRY, "src", value="100.64.0.1:022"), changed(WINDOW, *ENTRY, "init", value="both"),
    changed(WINDOW, *ENTRY, "txFlags", value=256), changed(WINDOW, *ENTRY, "dropReason", value="NO_SOCKET"),
    changed(WINDOW, *ENTRY, "more", value=1), changed(WINDOW, *ENTRY, value={"proto": 6, "src": "", "dst": ""}),
    changed(WINDOW, "physicalTraffic", 0, "starts", value=1), changed(WINDOW, "physicalTraffic", 0, "txBytes"),
    changed(WINDOW, "srcNode", "nodeId"), changed(WINDOW, "srcNode", "tags", value=[]), changed(WINDOW, "srcNode", "user", value="ann"),
    changed(WINDOW, "srcNode", "more", value="x"), changed(WINDOW, "dstNodes", value=[]), {"logtail": HEAD}, [], "text",
    {name: value for name, value in WINDOW.items() if not name.endswith("Traffic") and name != "overflow"},
    changed(TEXT, "event"), changed(TEXT, "text", value="peer gate"), changed(TEXT, "start", value=WINDOW["start"]),
    changed(TEXT, "event", "type"), changed(TEXT, "event", "type", value="peer-gone"), changed(TEXT, "event", "nodeId"),
    changed(TEXT, "event", "more", value=1), changed(TEXT, "event", "fromPath", value="derp"),
    changed(TEXT, "event", "path", value="Direct"), changed(TEXT, "event", "publicKey", value="A" * 43),
    changed(TEXT, "event", "endpoint", value="192.0.2.2"), changed(LOSS, "event", "reason", value="unknown"),
    changed(LOSS, "event", "from", value="2022-10-13T20:23:14Z"), changed(LOSS, "event", "messages", value=0),
    changed(LOSS, "event", "sink", value="a b"), changed(START, "event", "tun"), changed(START, "event", "tun", "source"),
    changed(START, "event", "tun", "more", value=1), changed(START, "event", "routes", value="dynamic"),
])
def test_what_is_no_message(message):
    assert errors(message) != []


def test_the_check_of_all_messages():
    """Messages of a known kind are skipped; those with anything new are not."""
    checker = Checker()
    for message in WINDOW, TEXT, WINDOW, LOSS, START:
        checker.take(message)
    checker.check()
    more = changed(WINDOW, *ENTRY, "txBytes", value=1)
    more["virtualTraffic"] += [{**more["virtualTraffic"][0], "more": 1}]
    for message in more, changed(WINDOW, "nodes", value=[]), changed(TEXT, "event", "type", value="x"), {"logtail": HEAD}:
        checker.take(message)
        with pytest.raises(AssertionError, match="not as packaging/schema/message.schema.json says"):
            checker.check()
    checker.check()
