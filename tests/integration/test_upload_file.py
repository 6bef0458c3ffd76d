# SPDX-License-Identifier: BSD-3-Clause
"""The file sink: all lines, and whole ones, across crashes, full disks and rotation."""
import json
import os
import pwd
import stat

import pytest

from lib.daemon import program
from lib.process import run
from lib.uploader import DaemonSide, Uploader, sequences, wait_until

UPLOADER = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_name == "netlogd-upload"), 65533)


@pytest.fixture
def make(directory):
    made = []

    def build(path, sections=None, **keys):
        uploader = Uploader(directory, {"lines": {"type": "file", "path": path,
                                                  **{key.replace("_", "-"): value for key, value in keys.items()}}},
                            sections)
        made.append(uploader)
        side = DaemonSide(directory / "upload.sock")
        made.append(side)
        return uploader, side

    yield build
    for one in reversed(made):
        one.close()


def read(*paths):
    text = "".join(path.read_text() for path in paths)
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def delivered(side, last):
    return side.wait_sink("lines", lambda s: s["deliveredSequence"] == last)


def test_lines(make, directory):
    out = directory / "out"
    out.mkdir(mode=0o700)
    uploader, side = make(out / "flows.jsonl")
    uploader.fill(5)
    uploader.start()
    delivered(side, 5)
    uploader.fill(3)
    delivered(side, 8)
    uploader.stop()
    assert sequences(read(out / "flows.jsonl")) == list(range(1, 9))
    assert stat.S_IMODE((out / "flows.jsonl").stat().st_mode) == 0o600


def test_rotation_by_size(make, directory):
    """64 MiB per file; nothing is lost or cut where one ends."""
    out = directory / "out"
    out.mkdir()
    uploader, side = make(out / "flows", max_batch_size="4M")
    for _ in range(8):
        uploader.fill(20, size=1000000)
    uploader.start()
    side.wait_sink("lines", lambda s: s["deliveredSequence"] == 160, timeout=60)
    uploader.stop()
    assert sorted(os.listdir(out)) == ["flows", "flows.1", "flows.2"]
    files = [out / "flows.2", out / "flows.1", out / "flows"]
    assert all(path.stat().st_size <= 64 << 20 for path in files)
    seen = []
    for path in files:
        with open(path, encoding="utf-8") as lines:
            seen += [json.loads(line[:200].split(",\"start\"")[0] + "}")["logtail"]["proc_seq"] for line in lines]
    assert seen == list(range(1, 161))


def test_reopened_on_sighup(make, directory):
    out = directory / "out"
    out.mkdir()
    uploader, side = make(out / "flows")
    uploader.fill(2)
    uploader.start()
    delivered(side, 2)
    (out / "flows").rename(out / "moved")
    uploader.reload()
    wait_until(lambda: side.identity and len(side.reports) > 0, "reload")
    side.identity = None
    uploader.reload()
    side.wait(lambda: side.identity, "end of the reload")
    uploader.fill(2)
    delivered(side, 4)
    uploader.stop()
    assert sequences(read(out / "moved")) == [1, 2]
    assert sequences(read(out / "flows")) == [3, 4]


def grow(path):
    """To nearly 64 MiB, so that the next batch rotates it."""
    size = (64 << 20) - 10
    os.truncate(path, size)
    with open(path, "r+b") as file:
        file.seek(size - 1)
        file.write(b"\n")


@pytest.mark.parametrize("created", [False, True], ids=["moved", "moved and created"])
def test_another_program_rotates_without_sighup(make, directory, created):
    """At 64 MiB the file is another program's: only the name's file is ours to rename, and it has room."""
    out = directory / "out"
    out.mkdir()
    uploader, side = make(out / "flows")
    uploader.fill(2)
    uploader.start()
    delivered(side, 2)
    (out / "flows.1").write_text("older\n")
    (out / "flows").rename(out / "flows-20260101")
    if created:
        (out / "flows").touch(0o644)
    grow(out / "flows-20260101")
    uploader.fill(1)
    delivered(side, 3)
    uploader.stop()
    assert sorted(os.listdir(out)) == ["flows", "flows-20260101", "flows.1"]
    assert (out / "flows.1").read_text() == "older\n"
    assert sequences(read(out / "flows")) == [3]


def test_rotation_without_a_free_inode(make, directory):
    """Renamed, but not made anew: an outage, which ends when there is room."""
    out = directory / "out"
    out.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "nr_inodes=4,mode=0755", "tmpfs", out])
    try:
        uploader, side = make(out / "flows")
        uploader.fill(2)
        uploader.start()
        delivered(side, 2)
        grow(out / "flows")
        (out / "flows.1").write_text("older\n")
        (out / "ballast").touch()
        uploader.fill(1)
        side.wait_sink("lines", lambda s: s["retries"] > 0 or s["state"] == "misconfigured")
        assert side.sinks["lines"]["state"] == "retrying", side.sinks
        (out / "ballast").unlink()
        delivered(side, 3)
        uploader.stop()
        assert sorted(os.listdir(out)) == ["flows", "flows.1", "flows.2"]
        assert (out / "flows.2").read_text() == "older\n"
        assert sequences(read(out / "flows")) == [3]
    finally:
        run(["umount", "-l", out])


@pytest.mark.parametrize("owner", [0, UPLOADER], ids=["of root", "of the uploader"])
def test_rotation_behind_a_link(make, directory, owner):
    """The file is rotated where it is, with its mode; the link stays."""
    out, data = directory / "out", directory / "data"
    directory.chmod(0o755)
    for path in out, data:
        path.mkdir()
        os.chown(path, owner, owner)
    (out / "current").symlink_to("flows")
    (out / "flows").symlink_to("../data/flows")
    uploader, side = make(out / "current")
    uploader.fill(2)
    uploader.start()
    delivered(side, 2)
    grow(data / "flows")
    uploader.fill(1)
    delivered(side, 3)
    uploader.stop()
    assert sorted(os.listdir(out)) == ["current", "flows"]
    assert sorted(os.listdir(data)) == ["flows", "flows.1"]
    assert {stat.S_IMODE((data / name).lstat().st_mode) for name in ("flows", "flows.1")} == {0o640}
    assert sequences(read(out / "flows")) == [3]


def test_a_file_that_cannot_be_renamed(make, directory):
    """As a file that a container was given: told what is wrong, and no old file is pushed out by the tries."""
    out = directory / "out"
    out.mkdir()
    (out / "flows").touch()
    (out / "flows.1").write_text("older\n")
    run(["mount", "--bind", out / "flows", out / "flows"])
    try:
        uploader, side = make(out / "flows")
        uploader.fill(2)
        uploader.start()
        delivered(side, 2)
        grow(out / "flows")
        uploader.fill(1)
        for _ in range(3):
            sink = side.wait_sink("lines", lambda s: s["state"] == "misconfigured")
            assert "at 64 MiB, renaming it and making it anew failed: Device or resource busy" in sink["lastError"]
            side.sinks = {}
            uploader.reload()
        side.wait_sink("lines", lambda s: s["state"] == "misconfigured")
    finally:
        run(["umount", "-l", out / "flows"])
    uploader.reload()
    delivered(side, 3)
    uploader.stop()
    assert sorted(os.listdir(out)) == ["flows", "flows.1", "flows.2"]
    assert (out / "flows.2").read_text() == "older\n"


def test_removed_file_is_recreated(make, directory):
    out = directory / "out"
    out.mkdir()
    uploader, side = make(out / "flows")
    uploader.fill(2)
    uploader.start()
    delivered(side, 2)
    (out / "flows").unlink()
    uploader.fill(2)
    delivered(side, 4)
    uploader.stop()
    assert sequences(read(out / "flows")) == [3, 4]


def test_torn_line_is_cut(make, directory):
    """A line that a crash left half written is removed; foreign content stays."""
    out = directory / "out"
    out.mkdir()
    ours, foreign = out / "ours", out / "foreign"
    ours.write_text('{"logtail":{"proc_seq":7}}\n{"logtail":{"proc')
    foreign.write_text("a note without an end")
    uploader, side = make(ours)
    uploader.fill(1)
    uploader.configure({"lines": uploader.sinks["lines"], "second": {"type": "file", "path": foreign}})
    uploader.start()
    delivered(side, 1)
    side.wait_sink("second", lambda s: s["deliveredSequence"] == 1)
    uploader.stop()
    assert sequences(read(ours)) == [7, 1]
    lines = foreign.read_text().splitlines()
    assert lines[0] == "a note without an end" and sequences([json.loads(lines[1])]) == [1]


def test_kill_loop(make, directory):
    """SIGKILL under load: every line whole, in order, none missing; only whole batches are repeated."""
    out = directory / "out"
    out.mkdir()
    uploader, side = make(out / "flows", max_batch_size="8K")
    filler = uploader.fill_beside(4000, rate=3000)
    kills = 0
    while filler.poll() is None or kills < 12:
        reports = len(side.reports)
        uploader.start()
        side.wait(lambda: len(side.reports) > reports, "report")
        uploader.kill()
        kills += 1
    side.sinks = {}  # wait for the last uploader's reports
    uploader.start()
    delivered(side, 4000)
    uploader.stop()
    seen = sequences(read(out / "flows"))
    assert sorted(set(seen)) == list(range(1, 4001))
    # May go back (a repeated batch), but forward only by one.
    assert all(after <= before + 1 for before, after in zip(seen, seen[1:]))


def test_full_disk_and_room_again(make, directory):
    """A full disk is an outage: no half line stays, and it continues when there is room."""
    out = directory / "out"
    out.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", out])
    try:
        ballast = out / "ballast"
        ballast.write_bytes(b"x" * 200000)
        uploader, side = make(out / "flows")
        uploader.fill(200, size=1000)
        uploader.start()
        sink = side.wait_sink("lines", lambda s: s["state"] == "retrying")
        assert "No space left" in sink["lastError"]
        ballast.unlink()
        delivered(side, 200)
        uploader.stop()
        assert sequences(read(out / "flows")) == list(range(1, 201))
    finally:
        run(["umount", "-l", out])


@pytest.mark.parametrize("what", ["directory", "missing", "pipe"])
def test_misconfigured(make, directory, what):
    """Not a file, or impossible as one: reported, and fixed without a restart."""
    out = directory / "out"
    out.mkdir()
    path = out / "flows"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path = out / "deeper" / "flows"
    uploader, side = make(path)
    uploader.fill(1)
    uploader.start()
    sink = side.wait_sink("lines", lambda s: s["state"] == "misconfigured")
    assert str(path) in sink["lastError"]
    uploader.stop()
    if what == "directory":
        path.rmdir()
    elif what == "pipe":
        path.unlink()
    else:
        path.parent.mkdir()
    uploader.start()
    delivered(side, 1)
    uploader.stop()
    assert sequences(read(path)) == [1]


@pytest.mark.parametrize("path,reason", [("{directory}", "a directory"), ("/dev/stdout", "not a regular file")],
                         ids=["directory", "stdout"])
def test_no_file_is_told_by_the_check(directory, path, reason):
    config = directory / "netlogd.conf"
    config.write_text(f"[tun]\nsource=none\n[upload lines]\ntype=file\npath={path.format(directory=directory)}\n")
    done = run([program("netlogd"), "--check-config", "--config", config], check=False)
    assert (done.returncode, f"{reason}: expected a file for lines" in done.stderr) == (78, True), done.stderr


def test_new_directory_after_a_reload(make, directory):
    """The confinement does not allow it, and need not: the broker opens the file."""
    out, other = directory / "out", directory / "other"
    out.mkdir()
    other.mkdir()
    uploader, side = make(out / "flows")
    uploader.fill(1)
    uploader.start()
    delivered(side, 1)
    pid = uploader.process.pid
    uploader.configure({"lines": {"type": "file", "path": other / "flows"}})
    uploader.reload()
    uploader.fill(1)
    delivered(side, 2)
    assert sequences(read(other / "flows")) == [2]
    assert uploader.process.running and uploader.process.pid == pid
    uploader.stop()
