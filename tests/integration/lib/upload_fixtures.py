# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the tests that run the uploader alone, without the daemon."""
import pytest

from collector import Collector

from .uploader import DaemonSide, Uploader


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


@pytest.fixture
def make_uploader(directory):
    made = []

    def make(sinks, sections=None, name=""):
        path = directory / f"u{name}"
        path.mkdir()
        uploader = Uploader(path, sinks, sections)
        made.append(uploader)
        return uploader

    yield make
    for uploader in made:
        uploader.close()


@pytest.fixture
def side(directory):
    """Makes the daemon's side of an uploader's link."""
    made = []

    def make(uploader):
        made.append(DaemonSide(uploader.directory / "upload.sock"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def logtail(collector, **keys):
    return {"type": "logtail", "url": collector.url, "collection": "flows.test",
            **{key.replace("_", "-"): value for key, value in keys.items()}}
