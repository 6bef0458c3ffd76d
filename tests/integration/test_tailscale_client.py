# SPDX-License-Identifier: BSD-3-Clause
"""The server that the tests of the source `tailscale` use, read by a client that nobody here wrote: npm's tslocal, whose
schemas are made from tailscaled's own sources. What it refuses, or reads as something else, tailscaled would not send."""
import json
import os
import shutil
from pathlib import Path

import pytest

from lib.daemon import build_directory
from lib.process import run
from lib.tailscaled import SUFFIX, VERSION, Tailscaled, node_key

CLIENT = Path(__file__).parent / "tailscale_client"


@pytest.fixture(scope="session")
def tslocal():
    """The package's folder, of the version and with the checksums in package-lock.json; installed once, into the build
    directory."""
    folder = Path(os.path.join(build_directory(), "tslocal"))
    if not (folder / "node_modules" / "tslocal").is_dir():
        if not shutil.which("npm"):
            pytest.skip("no npm to install tslocal with")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENT / name, folder)
        run(["npm", "ci", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts"], timeout=600)
    return folder / "node_modules" / "tslocal"


def test_a_client_reads_the_server(tslocal, directory):
    server = Tailscaled(directory / "tailscaled.sock")
    try:
        server.add("gate", "100.64.0.2", "fd7a:115c:a1e0::2", tags=["tag:server"], allowed=["10.0.0.0/8"])
        server.count("gate", tx=2**40, rx=3, CurAddr="192.0.2.2:41641", LastHandshake="2026-11-27T10:00:00.5Z", Active=True)
        server.add("laptop", "100.64.0.3", user=2, os_name="macOS", relay="nyc")
        server.count("laptop", PeerRelay="198.51.100.7:7777:vni:12", Online=False, LastSeen="2026-11-20T10:00:00Z")
        read = json.loads(run(["node", CLIENT / "read.mjs", tslocal, server.path]).stdout)
    finally:
        server.close()
    status = read["with"]
    assert (status["Version"], status["BackendState"], status["MagicDNSSuffix"]) == (VERSION, "Running", SUFFIX)
    assert status["TailscaleIPs"] == ["100.64.0.1", "fd7a:115c:a1e0::1"]
    assert (status["Self"]["ID"], status["Self"]["PublicKey"]) == (server.self["ID"], node_key("self"))
    assert {user["LoginName"] for user in status["User"].values()} == {"alice@example.com", "bob@example.com"}
    gate, laptop = (status["Peer"][node_key(name)] for name in ("gate", "laptop"))
    # All that it knows of a peer is what the server has said.
    for name, shown in (("gate", gate), ("laptop", laptop)):
        said = server.peers[name]
        assert {member: shown[member] for member in said if said[member] is not None and member != "CapMap"} == {
            member: value for member, value in said.items() if value is not None and member != "CapMap"}
    assert gate["TxBytes"] == 2**40 and gate["Tags"] == ["tag:server"] and laptop["Tags"] == []
    assert read["without"]["Peer"] == {} and read["without"]["Self"]["ID"] == server.self["ID"]
    # It asks as tailscaled wants to be asked, as the helper does.
    assert {headers["host"] for _, headers in server.requests} == {"local-tailscaled.sock"}
