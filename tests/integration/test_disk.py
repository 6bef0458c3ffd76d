# SPDX-License-Identifier: BSD-3-Clause
"""Disks that fill up, fail or damage data under the real daemon: every loss is reported, to the byte."""
import json
import os
import re
import struct
import time

import pytest

from collector import Answer
from lib.daemon import Tailer, program
from lib.failing import FailingCalls
from lib.ledger import LOSS, Numbered, check_order, losses, once
from lib.process import run
from lib.uploader import sequences
from lib.wait import wait_until

HEADER = 164
HEADER_SUMMED = 160
FRAME = 48
# Messages vary in size by this much: each has three times, whose trailing zeros are left out.
TIMES = 3 * 10


@pytest.fixture
def disk(directory):
    """Makes small file systems: disk(size); removes them after the test, even if they are in use."""
    mounted = []

    def make(size):
        path = directory / f"disk{len(mounted)}"
        path.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path])
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        run(["umount", "-l", path])


@pytest.fixture
def provider(directory):
    """Makes VPNs whose extractions have this many connections."""
    made = []

    def make(width):
        made.append(Numbered(directory / f"vpn{len(made)}.sock", width))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def namespace(network):
    return network.namespace()


@pytest.fixture
def collector(collector_in, namespace):
    return collector_in(namespace)


def sink(collector, **keys):
    return {"type": "logtail", "url": collector.url, "collection": "test",
            **{key.replace("_", "-"): value for key, value in keys.items()}}


def windows(provider, n):
    """Waits for n more extractions."""
    goal = provider.handed + n
    wait_until(lambda: provider.handed >= goal, f"extraction {goal}", 60)


def fill_up(path):
    """Fills the disk to the last byte, again if something has become free."""
    with open(path / "ballast", "ab", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                pass


def size(message):
    """The size of a message as netlogd wrote it: compact, and nothing in these needs escaping."""
    return len(json.dumps(message, separators=(",", ":")))


def like(message, number):
    """A window's message, with another extraction's counts."""
    return {**message, "virtualTraffic": [
        {**entry, "txBytes": number, "dst": f"100.65.{number >> 8 & 255}.{number & 255}:{entry['dst'].split(':')[1]}"}
        for entry in message["virtualTraffic"]]}


def finish(daemon):
    pending = daemon.call("Stop", deadlineMs=30000, timeout=40)
    assert pending == {"pendingMessages": 0, "pendingBytes": 0}
    daemon.stop()


def test_full_disk(netlogd, namespace, collector, provider, disk):
    """All state is on the disk that fills up: counting and uploading continue, and every loss is reported exactly."""
    vpn = provider(2600)
    room = disk("64M")
    daemon = netlogd(namespace, {**vpn.sections(), "netlogd": {"state-directory": room / "state"},
                                 "upload main": sink(collector)})
    daemon.start()
    collector.wait_messages(2)
    collector.default = Answer(503)
    windows(vpn, 3)
    fill_up(room)
    wait_until(lambda: daemon.status()["spool"].get("error") == "No space left on device", "full disk")
    # Uploading continues with what is in the spool.
    collector.default = Answer(200)
    stored = daemon.status()["spool"]["lastSequence"]
    wait_until(lambda: daemon.status()["sinks"][0].get("deliveredSequence", 0) >= stored, "delivery from a full disk")
    # So does counting, for longer than memory can hold.
    wait_until(lambda: daemon.status()["spool"]["lostMessages"] >= 5, "losses", 60)
    spool = daemon.status()["spool"]
    assert spool["error"] == "No space left on device"
    assert 0 < spool["waitingBytes"] <= 16 << 20
    assert daemon.flush(100)["pendingMessages"] >= 16
    daemon.ctl("status")

    (room / "ballast").unlink()
    wait_until(lambda: "error" not in daemon.status()["spool"], "room again")
    finish(daemon)
    messages = once(collector.accepted)
    told = [loss for loss in losses(messages) if loss[4] == "the spool could not be written"]
    missing = sorted(set(range(1, vpn.handed + 1)) - vpn.numbers(messages))
    assert len(missing) == sum(loss[0] for loss in told) >= 5
    holes = [(before, after) for before, after in zip(messages, messages[1:])
             if after["logtail"]["proc_seq"] != before["logtail"]["proc_seq"] + 1]
    assert sum(after["logtail"]["proc_seq"] - before["logtail"]["proc_seq"] - 1 for before, after in holes) == len(missing)
    assert holes[0][0]["logtail"]["client_time"] < told[0][2] <= told[-1][3] < holes[-1][1]["logtail"]["client_time"]
    made = sum(size(like(holes[-1][1], number)) for number in missing)
    assert abs(sum(loss[1] for loss in told) - made) <= len(missing) * TIMES


def test_full_disk_that_others_filled_leaves_the_spools_own_room(netlogd, namespace, collector, provider, disk):
    """The sink has everything in the spool: the spool's own room is enough to continue, although there is no other."""
    vpn = provider(500)
    room = disk("8M")
    daemon = netlogd(namespace, {**vpn.sections(), "netlogd": {"state-directory": room / "state"},
                                 "spool": {"max-size": "64M"}, "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 5)
    fill_up(room)
    wait_until(lambda: daemon.status()["spool"].get("error"), "full disk")
    got = len(collector.messages)
    collector.wait_messages(got + 30)
    assert daemon.status()["spool"]["lostMessages"] == 0
    (room / "ballast").unlink()
    finish(daemon)
    messages = once(collector.accepted)
    check_order(messages)
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))


def check_in_place(messages, complete):
    """Asserts that each loss is reported in its place, exact in number, bytes and time. Returns how many were lost."""
    by_number = {message["logtail"]["proc_seq"]: message for message in complete}
    last, told, total = 0, None, 0
    for message in messages:
        match = LOSS.fullmatch(message.get("text", ""))
        if match and match[5] != "the spool could not be written":
            assert "proc_seq" not in message["logtail"] and told is None
            told = match
            continue
        number = message["logtail"]["proc_seq"]
        lost = [by_number[n] for n in range(last + 1, number)]
        if lost:
            assert told, f"{len(lost)} messages before {number} are missing, and that is not reported"
            assert (int(told[1]), int(told[2])) == (len(lost), sum(map(size, lost)))
            assert told[3] <= lost[0]["logtail"]["client_time"]
            assert lost[-1]["logtail"]["client_time"] <= told[4] <= message["logtail"]["client_time"]
        else:
            assert not told, f"reported before {number}: {told[0]}"
        total += len(lost)
        last, told = number, None
    assert sequences(messages)[-1] == sequences(complete)[-1]
    return total


def test_cap(netlogd, namespace, collector_in, provider):
    """The spool is full for a sink that is down; another sink has everything, and gets no report of a loss."""
    vpn = provider(400)
    good, bad = collector_in(namespace), collector_in(namespace)
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"max-size": "1M"},
                                 "upload good": sink(good), "upload bad": sink(bad)})
    daemon.start()
    bad.wait_messages(3)
    bad.stop()
    wait_until(lambda: daemon.status()["spool"]["removedMessages"] >= 10, "spool full", 60)
    assert daemon.status()["spool"]["bytes"] <= 1 << 20
    # The log names the sink that lacks them, and not the other.
    wait_until(lambda: re.search(r"the spool is full \(max-size 1024K\): \d+ messages? \(\d+ bytes?\) (was|were) removed before "
                                 r"sink bad had (it|them); what is left begins at ", daemon.log()), "a line of the log")
    # Lost messages no longer count as backlog.
    wait_until(lambda: daemon.status()["sinks"][1]["backlogBytes"] <= 1 << 20, "backlog within the cap")
    with namespace.inside():
        bad.start()
    daemon.flush(20000)  # ends the interval and the backoff
    windows(vpn, 2)
    pending = daemon.call("Stop", deadlineMs=30000, timeout=40)
    assert pending == {"pendingMessages": 0, "pendingBytes": 0}
    status = {one["name"]: one for one in daemon.status()["sinks"]}
    daemon.stop()

    complete, messages = once(good.accepted), once(bad.accepted)
    assert losses(complete) == []
    check_order(complete)
    assert vpn.numbers(complete) == set(range(1, vpn.handed + 1))
    lost = check_in_place(messages, complete)
    assert lost >= 5
    assert status["bad"]["lostMessages"] == lost
    assert status["bad"]["lostBytes"] == sum(loss[1] for loss in losses(messages))
    assert status["good"]["lostMessages"] == 0
    assert all(loss[4] == "spool full" for loss in losses(messages))


@pytest.mark.parametrize("made", [True, False])
def test_read_only(netlogd, namespace, collector, provider, disk, made):
    """A spool that cannot be written or created at start: counting begins, and everything arrives once it can."""
    vpn = provider(10)
    room = disk("16M")
    if made:
        (room / "spool").mkdir()
    run(["mount", "-o", "remount,ro", room])
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": room / "spool"},
                                 "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 5)
    spool = daemon.status()["spool"]
    assert spool["error"] == "Read-only file system"
    assert spool["waitingMessages"] >= 5
    run(["mount", "-o", "remount,rw", room])
    wait_until(lambda: "error" not in daemon.status()["spool"], "spool that can be written")
    with Tailer(daemon) as tailer:
        assert tailer.next()["logtail"]["proc_seq"] > 5
    wait_until(lambda: daemon.status()["uploader"]["connected"], "uploader", 60)
    finish(daemon)
    messages = once(collector.accepted)
    check_order(messages)
    assert losses(messages) == []
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))


def segments(daemon):
    return sorted((daemon.state / "spool").glob("*.seg"))


def frames(data):
    """Offset and length of each frame of a segment."""
    found, at = [], HEADER
    while at + FRAME <= len(data):
        length = FRAME + struct.unpack_from("<I", data, at + 8)[0]
        found.append((at, length))
        at += length
    return found


def damage(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x20]))


def test_damaged_frames(netlogd, namespace, collector_in, provider):
    """One in the newest segment, one in an older one: skipped, counted, reported, kept aside, never sent."""
    vpn = provider(400)
    good, late = collector_in(namespace), collector_in(namespace)
    late.default = Answer(503)
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"max-size": "1M"},
                                 "upload good": sink(good), "upload late": sink(late)})
    daemon.start()
    wait_until(lambda: len(segments(daemon)) >= 3, "three segments", 60)
    daemon.call("Stop", deadlineMs=0)
    good.wait(lambda c: c.messages[-1].get("text") == "netlogd: stopped")
    daemon.stop()
    for path in segments(daemon)[0], segments(daemon)[-1]:
        at, length = frames(path.read_bytes())[1]
        damage(path, at + FRAME + length // 3)
    late.default = Answer(200)
    daemon.start()
    assert daemon.status()["spool"]["damagedFrames"] >= 1
    windows(vpn, 1)
    finish(daemon)
    complete, messages = once(good.accepted), once(late.accepted)
    assert vpn.numbers(complete) == set(range(1, vpn.handed + 1))
    told = losses(messages)
    assert [(loss[0], loss[4]) for loss in told] == [(1, "damaged on disk")] * 2
    heads = [(m["logtail"]["proc_id"], m["logtail"].get("proc_seq")) for m in messages]
    lost = [m for m in complete if (m["logtail"]["proc_id"], m["logtail"]["proc_seq"]) not in heads]
    assert [loss[1] for loss in told] == [size(message) for message in lost]
    assert list((daemon.state / "spool" / "damaged").iterdir())


@pytest.mark.parametrize("how", ["always", "interval"])
def test_sync(netlogd, namespace, provider, how):
    """sync=always: a message is synced before anybody hears of it. With an interval, not yet."""
    vpn = provider(1)
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"sync": how, "sync-interval": "60s"}})
    daemon.start()
    with Tailer(daemon) as tailer:
        for _ in range(5):
            message = tailer.next()
            spool = daemon.status()["spool"]
            if how == "always":
                assert spool["syncedSequence"] >= message["logtail"]["proc_seq"]
            else:
                assert spool["syncedSequence"] < message["logtail"]["proc_seq"]
    daemon.stop()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_newer_format(netlogd, namespace, collector, provider):
    """A spool of a newer version is an error with advice in both programs, and is left as it is."""
    vpn = provider(1)
    daemon = netlogd(namespace, {**vpn.sections(), "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 3)
    daemon.stop()
    path = segments(daemon)[-1]
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, 2)
    struct.pack_into("<I", data, HEADER_SUMMED, crc32c(data[:HEADER_SUMMED]))
    path.write_bytes(data)
    daemon.launch()
    assert daemon.process.wait() == 1
    daemon.notify.close()
    assert f"segment {path.name} was written by a newer version of netlogd: use that one, or move the spool away" \
        in daemon.log()
    assert path.read_bytes() == data
    result = run([program("netlogctl"), "flows", "--spool", path.parent], check=False)
    assert result.returncode == 1
    assert "newer version" in result.stderr
    # Once it is moved away, a new spool begins.
    os.rename(path.parent, path.parent.with_name("spool.newer"))
    got = len(collector.messages)
    daemon.start()
    windows(vpn, 2)
    finish(daemon)
    assert vpn.numbers(once(collector.accepted)) == set(range(1, vpn.handed + 1))
    assert len(collector.messages) > got


def test_stop_on_a_full_disk(netlogd, namespace, collector, provider, disk):
    """The daemon's log reports what could not be written by the end, and the next run reports it to the sinks."""
    vpn = provider(100)
    room = disk("8M")
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": room / "spool"},
                                 "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 2)
    collector.default = Answer(503)
    fill_up(room)
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] >= 3, "messages in memory")
    fill_up(room)  # what the spool's own reserve has left
    pending = daemon.call("Stop", deadlineMs=100)
    assert pending["pendingMessages"] >= 3
    made = daemon.status()["record"]["procSeq"]
    daemon.stop()
    stored = set(sequences(collector.messages))  # some of it is no longer in the spool
    for path in (room / "spool").glob("*.seg"):
        data = path.read_bytes()
        stored |= {struct.unpack_from("<Q", data, at + 16)[0] for at, _ in frames(data)}
    match = re.search(r"(\d+) messages? \((\d+) bytes\) could not be written and (?:is|are) lost: No space left on device",
                      daemon.log())
    assert match and int(match[1]) == made - len(stored)
    assert (daemon.state / "lost").exists()

    (room / "ballast").unlink()
    collector.default = Answer(200)
    got = len(collector.accepted)
    daemon.start()
    wait_until(lambda: not (daemon.state / "lost").exists(), "the loss to be reported")
    finish(daemon)
    messages = once(collector.accepted)
    (number, size_of_them, first, last, why), = losses(messages)
    assert (number, size_of_them, why) == (int(match[1]), int(match[2]), "the spool could not be written")
    clocks = [message["logtail"]["client_time"] for message in messages]
    before = max(clock for clock, message in zip(clocks, messages) if message["logtail"]["proc_id"] ==
                 messages[0]["logtail"]["proc_id"])
    assert before < first < last < clocks[-1]
    assert len(collector.accepted) > got


@pytest.mark.parametrize("size, width, n", [("1200K", 400, 100), ("300K", 2000, 10), ("600K", 2500, 20)])
def test_small_disk(netlogd, namespace, collector, provider, disk, size, width, n):
    """With the default cap: everything is delivered, what is delivered makes room, and the log is not full of it."""
    vpn = provider(width)
    room = disk(size)
    daemon = netlogd(namespace, {**vpn.sections(), "netlogd": {"state-directory": room / "state"},
                                 "upload main": sink(collector)})
    daemon.start()
    # Of about 38, 190 and 240 kB each: the disk several times over.
    windows(vpn, n)
    if n == 100:
        assert daemon.status()["spool"].get("error") is None
    # Also what waits in memory: it has room once the sink has what is on the disk.
    finish(daemon)
    assert daemon.log().count("the spool cannot be written") <= 1
    assert daemon.log().count("the spool can be written again") <= 1
    messages = once(collector.accepted)
    assert losses(messages) == []
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))


def test_the_end_on_a_small_disk(netlogd, namespace, collector, provider, disk):
    """SIGTERM while much waits in memory: what is delivered makes room for the rest, within the deadline."""
    vpn = provider(2000)
    collector.default = Answer(503)
    daemon = netlogd(namespace, {**vpn.sections(), "netlogd": {"state-directory": disk("300K") / "state"},
                                 "upload main": sink(collector)})
    daemon.start()
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] >= 3, "messages that wait", 60)
    collector.default = Answer(200)
    daemon.stop()
    assert "could not be written and" not in daemon.log()
    assert "remain in the spool" not in daemon.log()
    messages = once(collector.accepted)
    assert losses(messages) == []
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))


def test_a_full_disk_without_sinks(netlogd, namespace, provider, disk):
    """No delivery can make room: neither Flush nor the end waits for one."""
    vpn = provider(500)
    room = disk("4M")
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": room / "spool"}})
    daemon.start()
    windows(vpn, 3)
    fill_up(room)
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] > 0, "messages that wait", 30)
    assert daemon.call("Flush", deadlineMs=86400000, timeout=10) == {"pendingMessages": 0, "pendingBytes": 0}
    begin = time.monotonic()
    daemon.stop()
    assert time.monotonic() - begin < 4  # not the deadline


def test_full_disk_in_the_log(netlogd, namespace, provider, disk):
    """The log says when the disk fills up and when there is room again, and at the end what is not on the disk."""
    vpn = provider(100)
    room = disk("4M")
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": room / "spool"}})
    daemon.start()
    windows(vpn, 2)
    fill_up(room)
    wait_until(lambda: "the spool cannot be written: No space left on device" in daemon.log(), "a line of the log", 30)
    (room / "ballast").unlink()
    wait_until(lambda: "the spool can be written again" in daemon.log(), "a line of the log", 30)
    fill_up(room)
    wait_until(lambda: daemon.status()["spool"]["waitingMessages"] > 0, "messages that wait", 30)
    fill_up(room)
    daemon.stop()
    assert re.search(r"warning: \d+ messages? \(\d+ bytes\) waits? in memory: the spool cannot be written "
                     r"\(No space left on device\); one last try follows", daemon.log())
    assert "remain in the spool" not in daemon.log()


@pytest.mark.parametrize("what", ["directory", "moved", "segment", "emptied"])
def test_removed_by_another_program(netlogd, namespace, collector, provider, directory, what):
    """The spool is made again at the next sync: what was in memory is delivered, the rest is told as lost."""
    vpn = provider(10)
    collector.stop()
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": directory / "spool"},
                                 "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 5)
    wait_until(lambda: daemon.status()["spool"]["syncedSequence"] >= 4, "a sync")
    if what == "directory":
        run(["rm", "-rf", directory / "spool"])
    elif what == "moved":
        (directory / "spool").rename(directory / "moved")
    else:
        for segment in (directory / "spool").glob("*.seg"):
            if what == "segment":
                segment.unlink()
            else:
                os.truncate(segment, 0)
    wait_until(lambda: "files of the spool were removed by another program" in daemon.log(), "a line of the log", 30)
    wait_until(lambda: list((directory / "spool").glob("*.seg")), "a new segment", 30)
    told = re.search(r"removed by another program: (\d+) messages are gone, (\d+) of them before every sink had them",
                     daemon.log())
    gone = int(told[1])
    assert gone == int(told[2]) >= 3
    with namespace.inside():
        collector.start()
    daemon.flush(20000)
    windows(vpn, 2)
    finish(daemon)
    messages = once(collector.accepted)
    numbers = vpn.numbers(messages)
    assert set(range(vpn.handed - 2, vpn.handed + 1)) <= numbers
    # Nothing in between is missing without a word: neither window nor text.
    missing = set(range(1, vpn.handed + 1)) - numbers
    assert len(missing) <= sum(loss[0] for loss in losses(messages)) <= gone
    assert {loss[4] for loss in losses(messages)} <= {"removed from the spool, which is not full"}


def test_another_spool_in_its_place(netlogd, namespace, collector, provider, directory):
    """An older spool is put in its place: what was in this one is told as gone, and so is what to do."""
    vpn = provider(10)
    spool, older = directory / "spool", directory / "older"
    collector.stop()
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": spool}, "upload main": sink(collector)})
    daemon.start()
    windows(vpn, 3)
    daemon.stop()
    spool.rename(older)

    daemon.start()
    windows(vpn, 5)
    wait_until(lambda: daemon.status()["spool"]["syncedSequence"] >= 4, "a sync")
    run(["rm", "-rf", spool])
    older.rename(spool)
    text = "another spool has taken its place; restart netlogd to continue in that one"
    wait_until(lambda: daemon.status()["spool"].get("error") == text and text in daemon.log(), "the error", 30)
    told = wait_until(lambda: re.search(r"removed by another program: (\d+) messages are gone, (\d+) of them", daemon.log()),
                      "what is gone", 30)
    gone = int(told[1])
    assert gone == int(told[2]) >= 3
    daemon.stop()
    lost = re.search(r"error: (\d+) messages? \(\d+ bytes\) could not be written and (?:is|are) lost: another spool", daemon.log())

    with namespace.inside():
        collector.start()
    daemon.start()
    wait_until(lambda: not (daemon.state / "lost").exists(), "the loss to be told", 30)
    finish(daemon)
    # All that is missing was told: as gone, or as lost at the end.
    missing = set(range(1, vpn.handed + 1)) - vpn.numbers(once(collector.accepted))
    assert 3 <= len(missing) <= gone + int(lost[1])


def test_a_file_system_without_all_kinds_of_renaming(netlogd, namespace, collector, provider, directory):
    """NFS and older ZFS know no rename that spares what is there: the spool does without."""
    vpn = provider(10)
    calls = FailingCalls(directory / "calls")
    calls.during("rename-flags", "EINVAL", 3600)
    daemon = netlogd(namespace, {**vpn.sections(), "upload main": sink(collector)})
    daemon.start(calls.env())
    windows(vpn, 3)
    finish(daemon)
    assert calls.failed > 0
    calls.close()
    assert "cannot be written" not in daemon.log()
    messages = once(collector.accepted)
    check_order(messages)
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))


def test_note_of_a_loss(netlogd, namespace, provider, directory):
    """What an earlier run lost and noted is told; the note goes only when the text about it is on the disk."""
    vpn = provider(10)
    daemon = netlogd(namespace, {**vpn.sections(), "spool": {"directory": directory / "spool", "sync-interval": "3s"}})
    daemon.state.mkdir(mode=0o700, exist_ok=True)
    note = daemon.state / "lost"
    note.write_text('{"version":1,"messages":3,"bytes":300,"from":1700000000000000000,"to":1700000001000000000}',
                    encoding="ascii")
    daemon.start()
    wait_until(lambda: not note.exists(), "the note's end", 30)
    synced = daemon.status()["spool"]["syncedSequence"]
    lines = run([program("netlogctl"), "spool", "export", "--spool", directory / "spool"]).stdout.splitlines()
    told = [number for number, line in enumerate(lines, 1) if "lost 3 messages (300 bytes)" in str(line)]
    assert len(told) == 1 and told[0] <= synced
    daemon.stop()


@pytest.mark.parametrize("what", ["sink", "all"])
def test_cursors_removed(netlogd, namespace, collector, provider, what):
    """A sink's directory, or the upload directory, is removed: it is made again, and delivery goes on."""
    vpn = provider(10)
    daemon = netlogd(namespace, {**vpn.sections(), "upload main": sink(collector)})
    daemon.start()
    collector.wait_messages(3)
    cursor = daemon.state / "upload" / "main" / "cursor"
    # It may be made again while it is emptied.
    moved = daemon.state / "moved"
    (cursor.parent if what == "sink" else cursor.parent.parent).rename(moved)
    run(["rm", "-rf", moved])
    windows(vpn, 2)
    wait_until(cursor.exists, "another cursor", 60)
    wait_until(lambda: daemon.status()["uploader"]["connected"], "uploader", 60)
    windows(vpn, 2)
    finish(daemon)
    messages = once(collector.accepted)
    if what == "all":
        # It begins with the oldest message again: what memory knew went with the uploader.
        messages = list({message["logtail"]["proc_seq"]: message for message in messages}.values())
    assert vpn.numbers(messages) == set(range(1, vpn.handed + 1))
