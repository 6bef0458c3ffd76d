# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of bad collector at once, behind the real daemon: none holds up another, none costs a message."""
import os
import signal

import pytest

from collector import Answer, Close, Garbage, Hang, Reset, Trickle
from lib.clickhouse import free_port
from lib.daemon import program
from lib.ledger import Numbered, check_order, losses, once
from lib.process import run
from lib.uploader import sequences
from lib.wait import wait_until
from test_upload_tls import Authority, Nginx

RUBBISH = [Garbage(), Reset(), Answer(503), Close(), Answer(500, body=b"x" * 300000), Reset(early=True),
           Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"), Answer(429, {"Retry-After": "1"}),
           Answer(408, interim=True), Garbage(b"HTTP/1.1 999999 \r\n\r\n"), Trickle(Answer(502), 0.002),
           Answer(503, {"Retry-After": "never"})]


@pytest.fixture
def provider(directory):
    made = Numbered(directory / "vpn.sock", 5)
    yield made
    made.close()


def sink(url, **keys):
    return {"type": "logtail", "url": url, "collection": "test",
            **{key.replace("_", "-"): value for key, value in keys.items()}}


def windows(provider, n):
    goal = provider.handed + n
    wait_until(lambda: provider.handed >= goal, f"extraction {goal}", 60)


def sinks(daemon):
    return {one["name"]: one for one in daemon.status()["sinks"]}


def check_all(collector, provider):
    messages = once(collector.accepted)
    assert losses(messages) == []
    check_order(messages)
    assert provider.numbers(messages) == set(range(1, provider.handed + 1))
    return messages


def test_bad_collectors(network, netlogd, collector_in, provider):
    namespace = network.namespace()
    good, mad, late, picky, dead = (collector_in(namespace) for _ in range(5))
    dead.stop()
    mad.script(*RUBBISH)
    held = Hang(then=Answer(200))
    late.script(held)
    refused = {4: 413, 9: 400, 15: 422}
    picky.default = lambda request: Answer(next((status for number, status in refused.items()
                                                 if number in sequences(request.messages)), 200))
    collectors = {"good": good, "mad": mad, "late": late, "picky": picky, "dead": dead}
    daemon = netlogd(namespace, {**provider.sections(), **{f"upload {name}": sink(collector.url, timeout="1s")
                                                           for name, collector in collectors.items()}})
    daemon.start()
    # A 200 after the time-out: the batch was sent again.
    late.wait_requests(2)
    held.release()
    late.wait(lambda c: c.requests[0].accepted and c.requests[1].accepted)
    assert late.requests[0].body == late.requests[1].body
    # A flush tries at once, whatever the backoff.
    wait_until(lambda: daemon.flush(50) and mad.script_left == 0, "end of the rubbish", 60)
    windows(provider, 5)
    wait_until(lambda: sinks(daemon)["picky"]["quarantined"] == 3, "quarantine")
    pending = daemon.call("Stop", deadlineMs=5000)
    status = sinks(daemon)
    assert pending["pendingMessages"] == status["dead"]["backlogMessages"] == len(once(good.accepted))
    assert status["dead"]["state"] == "retrying" and "connect" in status["dead"]["lastError"]
    for name in "good", "mad", "late", "picky":
        assert status[name]["backlogMessages"] == 0, status[name]
        assert "lastError" not in status[name]
    daemon.stop()
    made = sequences(once(good.accepted))
    assert sequences(once(picky.accepted)) == [number for number in made if number not in refused]
    for name in "good", "mad", "late":
        check_all(collectors[name], provider)
    assert len(list((daemon.state / "upload" / "picky" / "quarantine").iterdir())) == 3

    refused.clear()
    with namespace.inside():
        dead.start()
    daemon.start()
    windows(provider, 1)
    assert daemon.call("Stop", deadlineMs=20000) == {"pendingMessages": 0, "pendingBytes": 0}
    daemon.stop()
    check_all(dead, provider)


def test_certificate_trouble_is_reported_and_fixed(network, netlogd, collector_in, provider, directory):
    """Expired, then renewed: status and netlogctl say what is wrong, and no message is lost meanwhile."""
    namespace = network.namespace()
    collector = collector_in(namespace)
    authority = Authority(directory, "authority")
    client, key = authority.issue("node", None)
    extra = f"ssl_client_certificate {authority.certificate}; ssl_verify_client on;"

    def nginx(name, *options):
        path = directory / name
        path.mkdir()
        server = authority.issue(name, "DNS:localhost", *options)
        with namespace.inside():
            return Nginx(path, collector, server, extra)

    expired = nginx("expired", ("-days", "-1"))
    try:
        daemon = netlogd(namespace, {**provider.sections(), "upload main": sink(
            f"https://localhost:{expired.port}", ca_file=authority.certificate, cert_file=client, key_file=key)})
        daemon.start()
        status = wait_until(lambda: (one := sinks(daemon)["main"])["state"] == "misconfigured" and one, "misconfigured")
        assert "expired" in status["lastError"]
        assert "expired" in daemon.ctl("status").stdout
        windows(provider, 2)
        assert collector.requests == []
    finally:
        expired.close()
    renewed = nginx("renewed")
    try:
        daemon.configure({"upload main": {"url": f"https://localhost:{renewed.port}"}})
        daemon.reload()
        assert daemon.call("Stop", deadlineMs=20000) == {"pendingMessages": 0, "pendingBytes": 0}
        daemon.stop()
    finally:
        renewed.close()
    check_all(collector, provider)


def test_plain_http_stays_on_the_machine(directory):
    """A collector on another machine needs https."""
    config = directory / "netlogd.conf"
    config.write_text(f"[upload main]\ntype=logtail\nurl=http://192.0.2.1:{free_port()}\ncollection=test\n")
    for name in "netlogd", "netlogd-upload":
        result = run([program(name), "--config", config, *(["--check-config"] if name == "netlogd" else [])], check=False)
        assert result.returncode == 78
        assert f"{config}:3: url: http:// is only for loopback addresses: expected https://" in result.stderr


def test_another_directory_in_place_of_the_spool(network, netlogd, collector_in, provider):
    """The restarted uploader reads where the daemon writes, wherever the path leads by then."""
    namespace = network.namespace()
    collector = collector_in(namespace)
    daemon = netlogd(namespace, {**provider.sections(), "upload main": sink(collector.url)}).start()
    windows(provider, 3)
    (daemon.state / "spool").rename(daemon.state / "elsewhere")
    (daemon.state / "spool").mkdir(mode=0o700)
    os.kill(daemon.uploader(), signal.SIGKILL)
    windows(provider, 5)
    wait_until(lambda: sinks(daemon)["main"]["state"] in ("ok", "idle"), "the uploader")
    assert daemon.flush()["pendingMessages"] == 0
    daemon.stop()
    check_all(collector, provider)
