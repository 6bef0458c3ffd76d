# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the integration tests. They clean up after failures and interruptions too."""
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from collector import Collector
from lib.clock import ShiftedClock
from lib.daemon import Netlogd, program
from lib.network import Network, left_behind, run_prefix, sweep
from lib.schema import Checker
from stats_provider import StatsProvider


def pytest_configure(config):
    # SIGTERM must run the fixtures' clean-up, as control-C does.
    def interrupt(_number, _frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupt)
    config.addinivalue_line("markers", "needs(program): programs without which a test is skipped")


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root", returncode=2)
    sweep()
    left = [name for name in ("netlogd", "netlogd-upload", "netlogctl") if not os.path.exists(program(name))]
    if left:
        pytest.exit(f"not built: {', '.join(program(name) for name in left)}", returncode=2)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind():
    """When the last test has ended, nothing of this run and no child is left."""
    yield
    left = left_behind(lambda pid: pid == os.getpid())
    assert left == ([], [], []), f"left behind: {left}"
    with contextlib.suppress(ChildProcessError):
        pid, _ = os.waitpid(-1, os.WNOHANG)
        pytest.fail(f"a child process was left behind (pid {pid or 'unknown: still running'})")


@pytest.fixture
def directory():
    """A directory for what a test writes. Its path is short: those of Unix sockets have at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix=run_prefix()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def clock(directory):
    """Clocks that the test moves, of a daemon that is started with clock.env."""
    return ShiftedClock(directory / "clock")


@pytest.fixture
def vpn(directory):
    """A VPN that offers its counts on a stats socket. A test may close it."""
    made = StatsProvider(directory / "stats.sock")
    yield made
    if os.path.exists(made.path):
        made.close()


@pytest.fixture
def network(directory):
    network = Network(directory)
    try:
        yield network
    finally:
        network.close()


@pytest.fixture
def wireguard(network):
    """Two ends of a wireguard-go tunnel, IPv4 only, after their handshake."""
    ends = network.wireguard_pair()
    network.handshake(ends)
    return ends


@pytest.fixture(scope="session")
def schema_checker():
    """Knows the messages of all tests, so that each kind is validated once."""
    return Checker()


@pytest.fixture
def collector_in(schema_checker):
    """Makes collectors on a namespace's loopback: collector_in(namespace, **options). What they got is validated."""
    with contextlib.ExitStack() as stack:
        def make(namespace, **options):
            collector = Collector(**options)
            with namespace.inside():
                collector.start()
            stack.callback(lambda: schema_checker.take_received(collector))
            stack.callback(collector.stop)
            return collector
        yield make
    schema_checker.check()


@pytest.fixture
def netlogd(network, directory, collector_in, schema_checker):
    """Makes daemons: netlogd(namespace, sections, arguments). Stops them afterwards and checks their logs and messages.

    They stop before the collectors do, so that they can deliver their last message."""
    del collector_in
    made = []

    def make(namespace, sections, arguments=()):
        path = directory / f"n{len(made)}"
        path.mkdir()
        daemon = Netlogd(network, namespace, path, sections, arguments)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        if daemon.process is None:
            continue
        if daemon.process.running:
            daemon.process.terminate()
        daemon.check_log()
        schema_checker.take_spool(daemon.sections.get("spool", {}).get("directory", daemon.state / "spool"))
    schema_checker.check()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the daemons' logs with a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        directory = item.funcargs.get("directory")
        if directory and directory.exists():
            for log in sorted(directory.glob("*.log")):
                report.sections.append((log.name, log.read_text(errors="replace")[-6000:]))
