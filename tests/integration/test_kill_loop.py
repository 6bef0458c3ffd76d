# SPDX-License-Identifier: BSD-3-Clause
"""SIGKILL of either process, hundreds of times, at random moments under load: what is missing is reported, or was the
running window of a killed daemon."""
import os
import random
import re
import signal

import pytest

from collector import Answer
from lib.ledger import Numbered, losses, once
from lib.wait import wait_until

KILLS = 120


class Loop:
    """A daemon whose processes are killed, its VPN and its collector."""

    def __init__(self, daemon, collector, provider):
        self.daemon = daemon
        self.collector = collector
        self.provider = provider
        self.chance = random.Random(20221013)
        self.daemon_kills = 0
        self.uploader_kills = 0
        self.silent_kills = 0  # of a daemon none of whose messages had reached the spool
        self.written = None

    def spool_bytes(self):
        """The spool's size on disk, directories included."""
        total = 0
        for path, _, files in os.walk(self.daemon.state / "spool"):
            for name in [*files, "."]:
                try:
                    total += os.lstat(os.path.join(path, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total

    def last_written(self):
        """The run of the newest message in the spool, from the segments themselves: all messages would take long."""
        for segment in sorted((self.daemon.state / "spool").glob("[0-9]*"), reverse=True):
            runs = re.findall(rb'"proc_id":(\d+)', segment.read_bytes()[-65536:])
            if runs:
                return int(runs[-1])
        return None

    def wait_for_a_moment(self):
        """Waits for a few of the events that happen all the time, or for nothing."""
        what = self.chance.choice(["extraction", "request", "spool", "now"])
        if what == "extraction":
            goal = self.provider.handed + self.chance.randrange(1, 4)
            wait_until(lambda: self.provider.handed >= goal, f"extraction {goal}")
        elif what == "request" and self.collector.default.status == 200:
            goal = len(self.collector.requests) + self.chance.randrange(1, 3)
            wait_until(lambda: len(self.collector.requests) >= goal, f"request {goal}")
        elif what == "spool":
            before = self.spool_bytes()
            wait_until(lambda: self.spool_bytes() != before, "bytes in the spool")

    def kill_one(self):
        uploader = self.daemon.uploader() if self.chance.random() < 0.4 else None
        if uploader:
            try:
                os.kill(uploader, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.uploader_kills += 1
        else:
            # Ready means counting: the run's first message may still be on its way to the spool.
            before = self.written
            self.daemon.kill()
            self.daemon_kills += 1
            self.written = self.last_written()
            self.silent_kills += self.written == before
            self.daemon.start()

    def finish(self):
        """Delivers the rest; returns the messages that arrived, each once."""
        self.collector.default = Answer(200)
        wait_until(lambda: self.daemon.status()["uploader"]["connected"], "uploader", 60)
        assert self.daemon.flush(30000)["pendingMessages"] == 0
        self.daemon.stop()
        return once(self.collector.accepted)

    def missing(self, messages):
        return sorted(set(range(1, self.provider.handed + 1)) - self.provider.numbers(messages))


@pytest.fixture
def loop(network, netlogd, collector_in, directory):
    namespace = network.namespace()
    collector = collector_in(namespace)
    providers = []

    def make(width, max_size):
        providers.append(Numbered(directory / "vpn.sock", width))
        daemon = netlogd(namespace, {
            **providers[-1].sections(),
            "spool": {"max-size": max_size, "sync-interval": "50ms"},
            "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}})
        daemon.start()
        return Loop(daemon, collector, providers[-1])

    yield make
    for provider in providers:
        provider.close()


def runs_of(messages):
    """The numbers of the messages of each run of the daemon. Asserts that they ascend and that runs do not mix."""
    runs, latest = {}, None
    for head in (message["logtail"] for message in messages):
        if "proc_seq" not in head:
            continue
        if head["proc_id"] != latest:
            assert head["proc_id"] not in runs, f"run {head['proc_id']} continues after another run"
            latest = head["proc_id"]
        numbers = runs.setdefault(latest, [])
        assert not numbers or head["proc_seq"] > numbers[-1]
        numbers.append(head["proc_seq"])
    return runs


def test_kill_loop(loop):
    """The spool holds everything: only running windows are lost, and no run lacks a number."""
    loop = loop(50, "64M")
    for _ in range(KILLS):
        loop.wait_for_a_moment()
        loop.kill_one()
    messages = loop.finish()
    print(f"{loop.daemon_kills} kills of the daemon ({loop.silent_kills} before its first message was written), "
          f"{loop.uploader_kills} of the uploader: {loop.provider.handed} windows, {len(loop.missing(messages))} lost")
    assert losses(messages) == []
    assert len(loop.missing(messages)) <= loop.daemon_kills
    runs = runs_of(messages)
    assert len(runs) == loop.daemon_kills + 1 - loop.silent_kills
    assert loop.silent_kills <= loop.daemon_kills / 4
    for proc_id, numbers in runs.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"run {proc_id}: {numbers}"
    texts = [message["text"] for message in messages if "text" in message]
    assert sum("did not shut down cleanly" in text for text in texts) <= loop.daemon_kills
    assert texts[-1] == "netlogd: stopped"


def test_kill_loop_in_a_full_spool(loop):
    """The collector is down at times, long enough to reach the cap: what is removed is reported."""
    loop = loop(2000, "1M")
    most = 0
    for i in range(KILLS):
        if i % 20 == 10:
            loop.collector.default = Answer(503)
        elif i % 20 == 0:
            loop.collector.default = Answer(200)
        loop.wait_for_a_moment()
        most = max(most, loop.spool_bytes())
        loop.kill_one()
    messages = loop.finish()
    told = losses(messages)
    lost = sum(loss[0] for loss in told)
    print(f"{loop.daemon_kills} kills of the daemon, {loop.uploader_kills} of the uploader: {loop.provider.handed} "
          f"windows, {len(loop.missing(messages))} lost; {lost} messages told as lost")
    assert most <= 1 << 20
    assert told and {loss[4] for loss in told} == {"spool full"}
    assert len(loop.missing(messages)) <= lost + loop.daemon_kills
    # Every gap within a run was reported; whole runs may have gone too.
    assert sum(numbers[-1] - len(numbers) for numbers in runs_of(messages).values()) <= lost
