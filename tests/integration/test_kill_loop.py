"""SIGKILL of either process at random moments, again and again: nothing is lost but the running window of a killed collector."""
import os
import random
import signal

from lib.ledger import Numbered
from lib.wait import wait_until

KILLS = 24


def number(entry):
    return entry["txBytes"]


def test_kill_loop(network, netlogd, collector_in, directory):
    chance = random.Random(20221013)
    namespace = network.namespace()
    collector = collector_in(namespace)
    provider = Numbered(directory / "vpn.sock")
    daemon = netlogd(namespace, {
        **provider.sections(),
        "upload main": {"type": "logtail", "url": collector.url, "collection": "test"}})
    collector_kills = 0
    try:
        daemon.start()
        for _ in range(KILLS):
            goal = provider.handed + chance.randrange(4)
            wait_until(lambda goal=goal: provider.handed >= goal, f"extraction {goal}")
            if chance.random() < 0.4 and daemon.uploader():
                os.kill(daemon.uploader(), signal.SIGKILL)
            else:
                daemon.kill()
                collector_kills += 1
                daemon.start()
        daemon.flush()
        daemon.stop()
    finally:
        provider.close()

    messages = collector.messages
    flows = [entry for message in messages for entry in message.get("virtualTraffic", [])]
    received = {number(entry) for entry in flows}
    lost = set(range(1, provider.handed + 1)) - received
    assert len(lost) <= collector_kills, f"lost {sorted(lost)} of {provider.handed} in {collector_kills} kills"
    assert received <= set(range(1, provider.handed + 1))

    # Per run: every number from 1, in order; what comes again comes as a batch that was sent before.
    runs = {}
    for message in messages:
        runs.setdefault(message["logtail"]["proc_id"], []).append(message["logtail"]["proc_seq"])
    assert len(runs) == collector_kills + 1
    for proc_id, numbers in runs.items():
        first = list(dict.fromkeys(numbers))
        assert first == list(range(1, len(first) + 1)), f"run {proc_id}: {numbers}"
    texts = [message["text"] for message in messages if "text" in message]
    assert sum("ended without a stop" in text for text in set(texts)) <= collector_kills
    assert texts[-1] == "netlogd: stopped"
