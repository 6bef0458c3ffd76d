# SPDX-License-Identifier: BSD-3-Clause
"""SIGKILL of the uploader at each of its named points: nothing is lost, all is in order, and only whole batches
are repeated."""
import json
import os

import pytest

from collector import Answer, Collector
from lib.daemon import has_kill_points
from lib.uploader import DaemonSide, Uploader, sequences
from lib.wait import wait_until

REFUSED = {7, 8, 23}


pytestmark = pytest.mark.skipif(not has_kill_points(), reason="not built with -Dkill-points=true")


@pytest.mark.parametrize("time", [1, 2, 3, 6])
@pytest.mark.parametrize("point", ["upload-before-send", "upload-answered", "upload-refused", "upload-quarantined",
                                   "cursor-torn", "cursor-written", "cursor-synced", "cursor-made"])
def test_killed_at(directory, point, time):
    count = 40
    with Collector() as collector:
        collector.default = lambda request: Answer(400 if REFUSED & set(sequences(request.messages)) else 200)
        uploader = Uploader(directory, {"main": {"type": "logtail", "url": collector.url, "collection": "x",
                                                 "max-batch-size": "4K"}})
        side = DaemonSide(directory / "upload.sock")
        try:
            uploader.fill(count, size=400)
            uploader.start(env={"NETLOGD_KILL_POINT": f"{point}:{time}"})
            wait_until(lambda: not uploader.process.running or
                       side.sinks.get("main", {}).get("deliveredSequence") == count, "death or end",
                       fds=[uploader.process.pidfd])
            reached = not uploader.process.running
            uploader.process.close()
            if point != "cursor-made" and point != "upload-quarantined" and time <= 2:
                assert reached, "the point was not passed"
            side.sinks = {}
            uploader.start()
            sink = side.wait_sink("main", lambda s: s["deliveredSequence"] == count)
            uploader.stop()
        finally:
            side.close()
            uploader.close()
        bodies = []
        for request in collector.accepted:
            if not bodies or request.body != bodies[-1]:
                bodies.append(request.body)
        seen = [number for body in bodies for number in sequences(json.loads(body))]
        assert sorted(set(seen)) == [number for number in range(1, count + 1) if number not in REFUSED]
        assert seen == sorted(seen)
        assert sequences(uploader.quarantined("main")) == sorted(REFUSED)
        assert sink["backlogMessages"] == 0
        assert os.path.exists(uploader.upload / "main" / "cursor")
