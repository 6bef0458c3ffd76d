# SPDX-License-Identifier: BSD-3-Clause
"""A test run that is killed in the middle leaves nothing to the machine after the next one has begun."""
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from lib.network import Network, left_behind, run_prefix, sweep


@pytest.mark.skipif(not shutil.which("wireguard-go"), reason="wireguard-go is not installed")
def test_a_killed_run():
    pid = os.fork()
    if pid == 0:
        try:
            network = Network(Path(tempfile.mkdtemp(prefix=run_prefix())))
            network.wireguard_go(network.namespace())
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    assert [len(names) for names in left_behind(lambda other: other == pid)] == [1, 1, 1]
    sweep()
    assert left_behind(lambda other: other == pid) == ([], [], [])
    # What is this run's stays.
    with tempfile.TemporaryDirectory(prefix=run_prefix()) as directory:
        sweep()
        assert os.path.isdir(directory)
