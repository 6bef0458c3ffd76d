"""The source `stats`: a VPN that counts for itself, in good order and in every disorder."""
import contextlib
import time

import pytest

from lib.probe import Probe
from stats_provider import StatsProvider, connection

ONE = ("100.64.0.1:1024", "100.64.1.2:53")


@pytest.fixture
def provider(directory):
    with contextlib.ExitStack() as stack:
        def make(**options):
            made = StatsProvider(directory / "stats.sock", **options)
            stack.callback(close, made)
            return made
        yield make


def close(provider):
    """A test may have ended it already."""
    with contextlib.suppress(OSError):
        provider.close()


@pytest.fixture
def probe(network, directory):
    namespace = network.namespace()
    with contextlib.ExitStack() as stack:
        def make(**options):
            made = Probe(namespace, "stats", str(directory / "stats.sock"), **options)
            stack.callback(made.close)
            return made
        yield make


def test_counts_are_handed_over_once(provider, probe):
    vpn = provider()
    device = probe()
    assert device.made["result"] == 0
    assert device.enable() == 0
    assert vpn.enabled is True
    vpn.count([connection(0, 3), {"proto": 0, "src": "", "dst": "192.0.2.1:5", "rxPkts": 1, "rxBytes": 9}])
    window = device.window()
    assert window.entries == {ONE: (3, 300, 0, 0), ("", "192.0.2.1:5"): (0, 0, 1, 9)}
    assert device.window().entries == {}
    vpn.count([connection(0)])
    assert device.ask("disable") == 0
    assert vpn.enabled is False
    assert device.window().entries == {ONE: (1, 100, 0, 0)}
    # Setting the state it has asks for nothing.
    calls = len(vpn.calls)
    assert device.ask("disable") == 0
    assert len(vpn.calls) == calls


def test_large_replies_come_in_parts(provider, probe):
    vpn = provider(part=1000)
    device = probe()
    device.enable()
    vpn.count([connection(number) for number in range(50000)])
    window = device.window()
    assert len(window.entries) == 50000
    assert window.sum == (50000, 5000000, 0, 0)


def test_beyond_the_bound_is_overflow(provider, probe):
    vpn = provider(part=100)
    device = probe(max_flows=250)
    device.enable()
    vpn.count([connection(number) for number in range(1000)])
    window = device.window()
    assert len(window.entries) == 250
    assert window.overflow == (750, 75000, 0, 0)
    assert window.totals == (1000, 100000, 0, 0)
    assert window.errors == 0


@pytest.mark.parametrize("how", ["hang", "die", "half", "garbage", "nonsense", "error", "endless"])
def test_misbehaviour_costs_one_window_and_an_error(provider, probe, how):
    vpn = provider(part=2)
    device = probe()
    device.enable()
    vpn.misbehave = how
    vpn.count([connection(number) for number in range(5)])
    begin = time.monotonic()
    window = device.window()
    assert time.monotonic() - begin < 3
    assert window.errors == 1
    assert window.results[0] < 0
    assert window.entries == {}
    vpn.misbehave = None
    vpn.enabled = None
    vpn.count([connection(0)])
    window = device.window()
    assert window.errors == 0
    assert window.entries == {ONE: (1, 100, 0, 0)}
    # The new connection was told to count.
    assert vpn.enabled is True


def test_a_vpn_that_comes_back(provider, probe):
    vpn = provider()
    device = probe()
    device.enable()
    vpn.close()
    window = device.window()
    assert window.errors == 1
    again = provider()
    again.count([connection(0)])
    window = device.window()
    assert window.errors == 0
    assert again.enabled is True
    assert window.entries == {ONE: (1, 100, 0, 0)}


def test_not_there_yet(probe):
    device = probe()
    assert device.made["result"] == -19
    assert "nobody listens" in device.made["reason"]


def test_enabling_one_that_hangs(provider, probe):
    vpn = provider()
    vpn.misbehave = "hang-enable"
    device = probe()
    assert device.made["result"] == 0
    begin = time.monotonic()
    assert device.ask("enable") == -110
    assert time.monotonic() - begin < 3
    vpn.misbehave = None
    assert device.ask("enable") == 0
    assert vpn.enabled is True
