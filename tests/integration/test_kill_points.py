# SPDX-License-Identifier: BSD-3-Clause
"""SIGKILL at each named point of spool, cursor and uploader, under load: losses are reported, or the running window."""
import pytest

from collector import Answer
from lib.daemon import has_kill_points, program
from lib.ledger import Numbered, check_order, losses, once
from lib.uploader import sequences
from lib.wait import wait_until

# In the order of a spool's life: a tail is cut only after a frame was torn.
COLLECTOR_POINTS = [
    "spool-segment-made", "spool-header-written", "spool-segment-named", "spool-mid-frame", "spool-tail-cut",
    "spool-mid-frame:5", "spool-before-sync", "spool-before-sync:4", "spool-after-sync", "spool-after-sync:4",
    "spool-segment-made:3", "spool-header-written:3", "spool-segment-named:3", "spool-before-remove",
    "spool-before-remove:2", "spool-after-remove", "spool-after-remove:2",
]
# The first is at the very first start.
UPLOADER_POINTS = [
    "cursor-made", "cursor-torn", "cursor-written", "cursor-synced", "upload-before-send", "upload-answered",
    "upload-refused", "upload-quarantined", "cursor-torn:3", "cursor-written:4", "cursor-synced:5",
    "upload-before-send:3", "upload-answered:3",
]
# Text messages report that a run started, stopped or did not shut down cleanly; the rest are windows.
WIDTH = 500


pytestmark = pytest.mark.skipif(not has_kill_points(), reason="not built with -Dkill-points=true")


@pytest.fixture
def provider(directory):
    made = Numbered(directory / "vpn.sock", WIDTH)
    yield made
    made.close()


@pytest.fixture
def setup(network, netlogd, collector_in, provider):
    """A collector, and a daemon that delivers to it from a spool of many small segments."""
    namespace = network.namespace()
    collector = collector_in(namespace)

    def make(max_size, arguments=()):
        daemon = netlogd(namespace, {
            **provider.sections(),
            "spool": {"max-size": max_size, "sync-interval": "100ms"},
            "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}}, arguments)
        return collector, daemon
    return make


def wait_killed(process, what):
    assert process.wait(30) in (-9, 128 + 9), f"{what}: {process.text()}"


def test_daemon(setup, provider):
    collector, daemon = setup("2M")
    for point in COLLECTOR_POINTS:
        daemon.launch(env={"NETLOGD_KILL_POINT": point})
        wait_killed(daemon.process, point)
        daemon.notify.close()
    daemon.start()
    daemon.flush(20000)
    daemon.stop()

    messages = once(collector.accepted)
    told = losses(messages)
    missing = set(range(1, provider.handed + 1)) - provider.numbers(messages)
    assert len(missing) <= len(COLLECTOR_POINTS) + sum(loss[0] for loss in told), f"{sorted(missing)}, told: {told}"
    if not told:
        check_order(messages)
    texts = [message["text"] for message in messages if "text" in message]
    assert texts[-1] == "netlogd: stopped"
    assert provider.handed > 2 * len(COLLECTOR_POINTS), "hardly any load"


def test_uploader(setup, provider):
    """Nothing is lost; one message is refused, so that batches are split and it is set aside."""
    collector, daemon = setup("64M", ["--no-uploader"])
    refused = []

    def answer(request):
        """Refuses for ever the first message of one batch of several that was not accepted before, and no other."""
        seen = sequences(request.messages)
        if not refused and refuse and len(seen) > 1 and seen[0] not in sequences(collector.messages):
            refused.append(seen[0])
        return Answer(400 if set(refused) & set(seen) else 200)

    refuse = False
    collector.default = answer
    daemon.start()
    uploader = None
    for point in UPLOADER_POINTS:
        daemon.notify.read()  # a full socket would hold up the daemon
        refuse = point == "upload-refused"
        # Some load, even while it is down.
        goal = provider.handed + 3
        wait_until(lambda goal=goal: provider.handed >= goal, f"extraction {goal}")
        uploader = daemon.namespace.start(program("netlogd-upload"), "--config", daemon.config, name="upload",
                                          env={"NETLOGD_KILL_POINT": point})
        wait_killed(uploader, point)
    uploader = daemon.namespace.start(program("netlogd-upload"), "--config", daemon.config, name="upload")
    wait_until(lambda: daemon.status()["uploader"]["connected"], "uploader")
    pending = daemon.call("Stop", deadlineMs=20000)
    assert pending == {"pendingMessages": 0, "pendingBytes": 0}
    sink, = daemon.status()["sinks"]
    daemon.stop()
    assert uploader.terminate() == 0

    messages = once(collector.accepted)
    assert losses(messages) == []
    assert len(refused) == 1
    quarantine = list((daemon.state / "upload" / "main" / "quarantine").iterdir())
    assert len(quarantine) == 1 and sink["quarantined"] == 1
    numbers = sorted(sequences(messages) + refused)
    assert numbers == list(range(1, len(numbers) + 1))
    assert sequences(messages) == sorted(sequences(messages))
    assert len(provider.numbers(messages)) + 1 == provider.handed
