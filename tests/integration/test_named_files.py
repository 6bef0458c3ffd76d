# SPDX-License-Identifier: BSD-3-Clause
"""Files that the configuration names, behind links that are turned and in folders that are made anew."""
import os
import shutil

import pytest

from lib.tun import Tun
from lib.wait import wait_until


@pytest.fixture
def tun(network):
    return Tun(network, network.namespace())


def turn(link, target):
    new = link.with_name(link.name + ".new")
    new.symlink_to(target)
    os.rename(new, link)


def test_secrets_and_folders(tun, netlogd, collector_in, directory):
    """As a secret manager or Kubernetes turns "..data"; and a log folder that is removed, made anew, or a turned link."""
    directory.chmod(0o755)
    root = directory / "secrets"
    for number in "1", "2":
        (root / number).mkdir(parents=True, mode=0o700)
        (root / number / "token").write_text(f"token-{number}\n")
        (root / number / "token").chmod(0o600)
    (root / "..data").symlink_to("1")
    (root / "token").symlink_to("..data/token")
    logs = directory / "logs"
    (logs / "1").mkdir(parents=True)
    (logs / "current").symlink_to("1")
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        "tun": {"interface": tun.interface}, "sock": {"source": "none"}, "record": {"period": "200ms", "heartbeat": "1s"},
        "upload main": {"type": "logtail", "url": collector.url, "collection": "c", "bearer-token-file": root / "token"},
        "upload lines": {"type": "file", "path": logs / "current/flows"}}).start()
    lines = logs / "current/flows"
    wait_until(lambda: collector.requests and lines.exists(), "the first message at both")
    first = daemon.uploader()
    turn(root / "..data", "2")
    shutil.rmtree(root / "1")
    wait_until(lambda: collector.requests[-1].headers["authorization"] == "Bearer token-2", "the new token")
    # Removed and made anew: by the same name, and by a turned link.
    shutil.rmtree(logs / "1")
    (logs / "1").mkdir()
    daemon.reload()
    wait_until(lambda: lines.exists() and lines.stat().st_size, "lines in the new folder")
    (logs / "2").mkdir()
    turn(logs / "current", "2")
    daemon.reload()
    wait_until(lambda: (logs / "2/flows").exists() and (logs / "2/flows").stat().st_size, "lines in the folder of the turned link")
    assert daemon.uploader() == first
    daemon.stop()
