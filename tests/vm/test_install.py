# SPDX-License-Identifier: BSD-3-Clause
"""README's commands for installing, taken from README itself, on a bare Debian 12 with systemd: they end in a running
service that counts. Packages come from where this machine's own do."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from lib.machine import Machine
from lib.network import run_prefix
from lib.process import run
from lib.wait import wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SOURCES = "/root/netlogd"


def commands():
    """The blocks of shell commands below README's heading "Installing"."""
    section = re.search(r"^## Installing\n(.*?)^## ", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def make_root(root):
    """What Debian's installer leaves where nothing is selected, less the kernel."""
    apt = root.parent / "apt"
    run(["apt-get", "update", "-q"], timeout=300)
    repositories = run(["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                        "Created-By: Packages", "Origin: Debian"]).stdout
    assert repositories, "this machine's apt has no repository of Debian"
    apt.with_suffix(".list").write_text(repositories)
    # Proxies and the like.
    apt.with_suffix(".conf").write_text(run(["apt-config", "dump", "Acquire::http", "Acquire::https"]).stdout)
    run(["mmdebstrap", "--variant=minbase", "--include=systemd-sysv", f"--aptopt={apt}.conf", "bookworm", root,
         f"{apt}.list"], timeout=900)


def copy_sources(target):
    """All that would be committed."""
    files = subprocess.run(["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "-z", "--cached", "--others",
                            "--exclude-standard"], check=True, capture_output=True, text=True).stdout.split("\0")
    for file in filter(None, files):
        if (SOURCE / file).exists():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / file, target / file)


@pytest.fixture(scope="module")
def machine():
    with tempfile.TemporaryDirectory(prefix=run_prefix()) as directory:
        root = pathlib.Path(directory) / "debian"
        started = time.monotonic()
        make_root(root)
        print(f"a bare root: {time.monotonic() - started:.0f} s")
        copy_sources(root / SOURCES.lstrip("/"))
        machine = Machine(pathlib.Path(directory), root, is_root=True)
        try:
            yield machine
        finally:
            machine.close()


def show(machine, unit, member):
    return machine.text("systemctl", "show", "-P", member, unit)


def test_install(machine):
    build, install, use = commands()
    for block, timeout in (build, 1800), (install, 60):
        started = time.monotonic()
        result = machine.run_outside_network(["sh", "-eux", "-c", f"cd {SOURCES}\n{block}"], timeout=timeout)
        print(f"{time.monotonic() - started:.0f} s:\n{block}{result.stdout[-1500:]}")

    units = "netlogd.service", "netlogd-upload.service"
    for unit in units:
        wait_until(lambda unit=unit: show(machine, unit, "ActiveState") == "active", unit)
        assert show(machine, unit, "NRestarts") == "0"
    assert show(machine, units[0], "UnitFileState") == "enabled"

    # The interface that the example names appears, and what crosses it is logged.
    add = ["sh", "-e", "-c", """
        ip link add wg0 type veth peer name other
        ip addr add 100.64.0.1/24 dev wg0
        ip link set wg0 up
        ip link set other up
        ip neigh add 100.64.0.2 lladdr 02:00:00:00:00:02 dev wg0"""]
    # With this machine's ip(8): a bare root has none.
    run(["nsenter", "-t", machine.pid, "-n", *add])

    def logged():
        run(["nsenter", "-t", machine.pid, "-n", "ping", "-c", "1", "-W", "0.01", "100.64.0.2"], check=False)
        return "100.64.0.2" in machine.text("netlogctl", "flows", "--since", "1h", "--class", "virtual")
    wait_until(logged, "logged traffic", 60)

    # The third block, less what follows the log for ever.
    assert "netlogctl tail" in use
    for line in use.splitlines():
        if not line.startswith("netlogctl tail"):
            machine.run(["sh", "-eu", "-c", line])
    for unit in units:
        assert show(machine, unit, "ActiveState") == "active"
        warnings = machine.text("journalctl", "--quiet", "-o", "cat", "-p", "warning", f"_SYSTEMD_UNIT={unit}")
        assert set(warnings.splitlines()) <= {"tun: waiting for interface wg0", "sock: waiting for interface wg0"}
