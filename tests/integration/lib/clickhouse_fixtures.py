# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the tests of the ClickHouse sink."""
import shutil
import tempfile
from pathlib import Path

import pytest

from .clickhouse import ClickHouse, before_details, statements
from .network import run_prefix
from .uploader import DaemonSide, Uploader

SCHEMAS = Path(__file__).parents[3] / "packaging" / "clickhouse"
# Settings that a current server knows.
TODAY = ("insert_deduplication_token", "input_format_skip_unknown_fields", "wait_for_async_insert", "max_threads")


@pytest.fixture(scope="module")
def server():
    if not shutil.which("clickhouse-server"):
        pytest.skip("no clickhouse-server")
    with tempfile.TemporaryDirectory(prefix=run_prefix()) as directory:
        made = ClickHouse(Path(directory))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def tables(server):
    """The old servers' schema, empty."""
    server.query("DROP DATABASE IF EXISTS netlogd")
    for statement in statements(SCHEMAS / "old.sql"):
        server.query(statement)
    return server


@pytest.fixture
def older_tables(tables):
    """The schema of before there were details."""
    tables.query("DROP TABLE netlogd.flows")
    for statement in before_details(SCHEMAS / "old.sql"):
        tables.query(statement)
    return tables


@pytest.fixture
def run(directory):
    """Makes an uploader and the daemon's side of its link."""
    made = []

    def make(url, name="u", **keys):
        path = directory / name
        path.mkdir()
        sink = {"type": "clickhouse", "url": url, "database": "netlogd", "table": "flows", "flush-interval": "0",
                **{key.replace("_", "-"): value for key, value in keys.items()}}
        uploader = Uploader(path, {"ch": sink})
        made.append(uploader)
        side = DaemonSide(path / "upload.sock")
        made.append(side)
        return uploader, side

    yield make
    for one in reversed(made):
        one.close()


def delivered(side, sequence):
    return side.wait_sink("ch", lambda s: s["deliveredSequence"] == sequence, f"delivery of {sequence}", 60)
