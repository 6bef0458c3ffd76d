"""The systemd units: systemd's own checks, and what sysusers and tmpfiles make of their files."""
import os
import pathlib
import shutil
import stat
import tempfile

import pytest

from lib.daemon import build_directory
from lib.process import run

SERVICES = ("netlogd.service", "netlogd-upload.service", "netlogd@wg0.service", "netlogd-upload@wg0.service",
            "netlogd-wg-broker@wg0.service")
UNITS = (*SERVICES, "netlogd-wg-broker.socket")


@pytest.fixture(scope="module")
def root():
    """A tree with everything installed in it, and what the units refer to."""
    with tempfile.TemporaryDirectory(prefix="nl") as directory:
        root = pathlib.Path(directory)
        run(["meson", "install", "-C", build_directory(), "--no-rebuild", "--destdir", root], timeout=120)
        for program in "/bin/kill", "/usr/bin/install":
            target = root / program.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(program, target)
        system = root / "lib/systemd/system"
        system.mkdir(parents=True)
        for unit in pathlib.Path("/lib/systemd/system").glob("*.target"):
            shutil.copy2(unit, system, follow_symlinks=False)
        (root / "etc").mkdir(exist_ok=True)
        yield root


def units_of(root):
    return next(root.glob("**/systemd/system/netlogd.service")).parent


@pytest.mark.parametrize("unit", SERVICES)
def test_exposure(root, unit):
    template = unit.replace("wg0", "")
    # 15 stands for 1.5.
    run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", units_of(root) / template])


@pytest.mark.parametrize("unit", UNITS)
def test_verify_is_silent(root, unit):
    path = "/" + str(units_of(root).relative_to(root) / unit)
    result = run(["systemd-analyze", "verify", f"--root={root}", "--man=no", path])
    assert result.stdout + result.stderr == ""


def test_users_and_directories(root):
    (sysusers,) = root.glob("**/sysusers.d/netlogd.conf")
    (tmpfiles,) = root.glob("**/tmpfiles.d/netlogd.conf")
    run(["systemd-sysusers", f"--root={root}", sysusers])
    lines = (root / "etc/passwd").read_text().splitlines()
    users = {line.split(":")[0]: int(line.split(":")[2]) for line in lines}
    groups = {line.split(":")[0]: int(line.split(":")[2]) for line in (root / "etc/group").read_text().splitlines()}
    assert {"netlogd", "netlogd-upload"} <= set(users)
    run(["systemd-tmpfiles", "--create", f"--root={root}", tmpfiles])

    def describe(path):
        info = os.stat(root / path)
        return stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid

    collector, uploader = users["netlogd"], users["netlogd-upload"]
    assert describe("var/lib/netlogd/spool") == (0o2750, collector, groups["netlogd-upload"])
    assert describe("var/lib/netlogd/upload") == (0o2750, uploader, groups["netlogd"])
    assert describe("var/lib/netlogd") == (0o751, collector, groups["netlogd"])
    assert describe("run/netlogd") == (0o755, collector, groups["netlogd"])
