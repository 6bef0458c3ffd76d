# SPDX-License-Identifier: BSD-3-Clause
"""Messages that a collector refuses, outages, kills, and losses: nothing is lost without being reported."""
import json
import re

import pytest

from collector import Answer, Collector, Hang
from lib.upload_fixtures import collector, logtail, make_uploader, side  # noqa: F401
from lib.uploader import sequences, wait_delivered, wait_until


def refuse(*sequence_numbers, status=400):
    """Refuses every batch that holds one of these messages."""
    def answer(request):
        return Answer(status if set(sequences(request.messages)) & set(sequence_numbers) else 200)
    return answer


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_refused_message(collector, make_uploader, side, status):
    """Only it goes to quarantine, once a later one is accepted; the rest arrives once, in order."""
    collector.default = refuse(11, status=status)
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(20)
    uploader.start()
    messages = wait_delivered(collector, 20)
    sink = watch.wait_sink("main", lambda s: s["quarantined"] == 1 and s["backlogMessages"] == 0)
    uploader.stop()
    assert sequences(messages) == [n for n in range(1, 21) if n != 11]
    assert sequences(uploader.quarantined("main")) == [11]
    assert sink["state"] in ("ok", "idle")


def test_a_refused_message_at_the_end_waits_for_a_later_one(collector, make_uploader):
    collector.default = refuse(3)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3)
    uploader.start()
    collector.wait(lambda c: c.requests and sequences(c.requests[-1].messages) == [3])
    assert uploader.quarantined("main") == []
    uploader.fill(1)
    wait_delivered(collector, 4)
    wait_until(lambda: uploader.quarantined("main"), "quarantine")
    assert sequences(uploader.quarantined("main")) == [3]
    uploader.stop()


def test_set_aside_messages_survive_a_kill(collector, make_uploader):
    """Refused and not yet in quarantine when the uploader is killed: they are sent again."""
    collector.default = refuse(2, 3)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(3)
    uploader.start()
    collector.wait(lambda c: c.requests and sequences(c.requests[-1].messages) == [3])
    uploader.kill()
    uploader.fill(1)
    uploader.start()
    wait_delivered(collector, 4)
    wait_until(lambda: len(uploader.quarantined("main")) == 2, "quarantine")
    uploader.stop()
    assert sequences(uploader.quarantined("main")) == [2, 3]
    assert sequences(collector.messages) == [1, 4]


def test_all_refused_is_a_misconfiguration(collector, make_uploader, side):
    """Ten in a row: nothing goes to quarantine, nothing is lost."""
    collector.default = Answer(400, body="no such collection")
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(30)
    uploader.start()
    sink = watch.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert sink["lastError"] == "HTTP 400 Bad Request"
    assert sink["quarantined"] == 0 and sink["backlogMessages"] == 30
    alone = [sequences(request.messages) for request in collector.requests if len(request.messages) == 1]
    assert alone == [[n] for n in range(1, 11)]
    collector.default = Answer(200)
    uploader.reload()
    messages = wait_delivered(collector, 30)
    uploader.stop()
    assert sequences(messages) == list(range(1, 31))
    # After the ten, only the first is retried.
    assert sequences(collector.accepted[0].messages) == [1]
    assert uploader.quarantined("main") == []


def test_collector_down_and_back(collector, make_uploader, side):
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(2)
    uploader.start()
    # Wait for the report, not only for the delivery: otherwise the two may come again.
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 2)
    collector.stop()
    uploader.fill(5)
    sink = watch.wait_sink("main", lambda s: s["state"] == "retrying" and s["backlogMessages"] == 5)
    assert sink["lastError"] and sink["deliveredSequence"] == 2
    collector.start()
    assert sequences(collector.wait_messages(7)) == list(range(1, 8))
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    assert "lastError" not in sink
    uploader.stop()


def test_two_sinks_one_dead(collector, make_uploader):
    """A dead sink holds up nothing, and has its own cursor."""
    with Collector() as dead:
        dead.default = Hang()
        uploader = make_uploader({"alive": logtail(collector), "dead": logtail(dead)})
        uploader.fill(3)
        uploader.start()
        collector.wait_messages(3)
        dead.wait_requests(1)
        for _ in range(20):
            uploader.fill(1)
        assert sequences(wait_delivered(collector, 23)) == list(range(1, 24))
        assert len(dead.requests) == 1
        dead.default = Answer(200)
        uploader.stop()
        uploader.start()
        assert sequences(wait_delivered(dead, 23)) == list(range(1, 24))
        uploader.stop()


def test_kill_loop_loses_nothing(collector, make_uploader):
    """SIGKILL again and again under load: everything arrives, in order; only whole batches are repeated."""
    uploader = make_uploader({"main": logtail(collector, max_batch_size="8K")})
    count = 6000
    filler = uploader.fill_beside(count, size=300, rate=3000)
    kills = 0
    while filler.poll() is None or kills < 15:
        before = len(collector.requests)
        uploader.start()
        try:
            collector.wait_requests(before + 1 + kills % 5, 5)
        except TimeoutError:
            pass
        uploader.kill()
        kills += 1
    assert filler.wait() == 0
    uploader.start()
    wait_delivered(collector, count)
    uploader.stop()
    bodies = []
    for request in collector.accepted:
        if not bodies or request.body != bodies[-1]:
            bodies.append(request.body)
    seen = [n for body in bodies for n in sequences(json.loads(body))]
    assert seen == list(range(1, count + 1))


def check_loss(messages, after, last):
    """Asserts that one loss is reported, just before the first message after it, with the right numbers; returns them."""
    texts = [(i, message) for i, message in enumerate(messages) if "text" in message]
    assert len(texts) == 1
    index, loss = texts[0]
    match = re.fullmatch(r"netlogd: lost (\d+) messages \((\d+) bytes\) from (\S+) to (\S+): spool full",
                         loss["text"])
    assert match, loss
    assert set(loss["logtail"]) == {"client_time", "proc_id"} and loss["logtail"]["proc_id"] == 4711
    lost, lost_bytes = int(match[1]), int(match[2])
    assert loss["event"] == {"type": "lost", "messages": lost, "bytes": lost_bytes, "from": match[3], "to": match[4],
                             "reason": "spool full", "sink": "main"}
    assert sequences(messages[:index]) == list(range(1, after + 1))
    assert sequences(messages[index + 1:]) == list(range(after + lost + 1, last + 1))
    assert lost_bytes == pytest.approx(lost * 1000, rel=0.02)
    assert lost > 1000
    return lost, lost_bytes


def test_loss_is_reported_in_its_place(collector, make_uploader, side):
    """The spool's cap removes messages that a sink lacks: reported exactly, in the stream."""
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(5, size=1000)
    uploader.start()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    assert check_loss(messages, 5, 9005) == (sink["lostMessages"], sink["lostBytes"])


def test_loss_of_a_sink_that_never_delivered(collector, make_uploader, side):
    """Down from the start, killed, and the spool full: everything it lacks is reported."""
    collector.default = Answer(503)
    uploader = make_uploader({"main": logtail(collector)})
    uploader.fill(5, size=1000)
    uploader.start()
    collector.wait_requests(1)
    uploader.kill()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    collector.default = Answer(200)
    watch = side(uploader)
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    assert check_loss(messages, 0, 9005) == (sink["lostMessages"], sink["lostBytes"])


def test_loss_while_running_and_refused_at_first(collector, make_uploader, side):
    """A loss reported with a refused message is reported before the next one, and counted once."""
    uploader = make_uploader({"main": logtail(collector)})
    watch = side(uploader)
    uploader.fill(5, size=1000)
    uploader.start()
    watch.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    uploader.fill(9000, size=1000, max_size=4 << 20)
    first = []

    def refuse_the_first(request):
        seen = sequences(request.messages)
        if not first:
            first.append(seen[0])
        return Answer(400 if first[0] in seen else 200)

    collector.default = refuse_the_first
    uploader.start()
    messages = wait_delivered(collector, 9005)
    sink = watch.wait_sink("main", lambda s: s["backlogMessages"] == 0)
    uploader.stop()
    texts = [message for message in messages if "text" in message]
    assert len(texts) == 1
    assert f"lost {first[0] - 6} messages" in texts[0]["text"]
    assert sequences(messages) == [*range(1, 6), *range(first[0] + 1, 9006)]
    assert sink["lostMessages"] == first[0] - 6 and sink["quarantined"] == 1
