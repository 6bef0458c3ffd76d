# SPDX-License-Identifier: BSD-3-Clause
"""The systemd units: systemd's own checks, what sysusers and tmpfiles create, and both services under a real systemd."""
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile
import time

import pytest

from lib.daemon import build_directory, sanitized
from lib.machine import Machine
from lib.network import run_prefix
from lib.process import run
from lib.tailscaled import Tailscaled
from lib.wait import wait_until

SERVICES = ("netlogd.service", "netlogd-upload.service", "netlogd@wg0.service", "netlogd-upload@wg0.service",
            "netlogd-wg-broker@wg0.service")
UNITS = (*SERVICES, "netlogd-wg-broker.socket")


@pytest.fixture(scope="module")
def root():
    """A tree with everything installed, and what the units refer to."""
    with tempfile.TemporaryDirectory(prefix=run_prefix()) as directory:
        root = pathlib.Path(directory)
        run(["meson", "install", "-C", build_directory(), "--no-rebuild", "--destdir", root], timeout=120)
        (root / "bin").mkdir()
        shutil.copy2("/bin/sh", root / "bin")
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
    # 15 means 1.5.
    run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", units_of(root) / template])


@pytest.mark.parametrize("unit", UNITS)
def test_verify_is_silent(root, unit):
    path = "/" + str(units_of(root).relative_to(root) / unit)
    result = run(["systemd-analyze", "verify", f"--root={root}", "--man=no", path])
    assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("unit", SERVICES)
def test_no_command_of_root_but_the_broker(root, unit):
    """No prefix exempts a command from the unit's user or confinement (systemd.service(5))."""
    text = (units_of(root) / unit.replace("wg0", "")).read_text()
    commands = [line for line in text.splitlines() if line.startswith("Exec")]
    assert commands
    assert not [line for line in commands if set("+!") & set(line.split("=", 1)[1].split("/")[0])], commands
    assert "User=netlogd" in text or "broker" in unit


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

    daemon, uploader = users["netlogd"], users["netlogd-upload"]
    assert describe("var/lib/netlogd/spool") == (0o2750, daemon, groups["netlogd-upload"])
    assert describe("var/lib/netlogd/upload") == (0o2750, uploader, groups["netlogd"])
    assert describe("var/lib/netlogd") == (0o751, daemon, groups["netlogd"])
    assert describe("run/netlogd") == (0o755, daemon, groups["netlogd"])


CONFIG = """
[netlogd]
state-directory={state}
upload-directory={upload}
control-socket={run}/control.sock
[tun]
interface=tun0
[sock]
source=none
[routes]
mode=static
local-addr=100.64.0.1/32
route=100.64.0.2/32
[record]
period=100ms
[upload main]
type=file
path={lines}/flows.json
"""


@pytest.fixture(scope="module")
def machine(root):
    """A machine with netlogd installed and configured, as a service and as an instance, not yet started."""
    with tempfile.TemporaryDirectory(prefix=run_prefix()) as directory:
        tree = pathlib.Path(directory) / "tree"
        for part in "usr/local", "etc/netlogd":
            (tree / part).mkdir(parents=True)
        shutil.copytree(root / "usr/local", tree / "usr/local", dirs_exist_ok=True)
        (tree / "etc/netlogd/netlogd.conf").write_text(CONFIG.format(
            state="/var/lib/netlogd", upload="/var/lib/netlogd/upload", run="/run/netlogd",
            lines="/var/lib/netlogd/upload"))
        (tree / "etc/netlogd/wg0.conf").write_text(CONFIG.format(
            state="/var/lib/netlogd@wg0", upload="/var/lib/netlogd-upload@wg0", run="/run/netlogd@wg0",
            lines="/var/log/netlogd@wg0"))
        machine = Machine(pathlib.Path(directory), tree)
        try:
            machine.run(["systemd-sysusers"])
            machine.run(["systemd-tmpfiles", "--create", "netlogd.conf"])
            machine.run(["systemctl", "daemon-reload"])
            if sanitized():
                # The leak checker needs ptrace, which the units forbid.
                machine.run(["systemctl", "set-environment", "ASAN_OPTIONS=detect_leaks=0"])
            machine.run(["sh", "-e", "-c", """
                ip link add tun0 type veth peer tun1
                ip addr add 100.64.0.1/24 dev tun0
                ip link set tun0 up
                ip link set tun1 up
                ip neigh add 100.64.0.2 lladdr 02:00:00:00:00:02 dev tun0"""])
            yield machine
        finally:
            machine.close()


def start(machine, unit):
    started = machine.run(["systemctl", "start", unit], check=False)
    assert started.returncode == 0, started.stderr + machine.text("journalctl", "-o", "cat", "-u", unit)


def in_journal(machine, unit, text):
    """Waits for it: the journal reads what a unit's processes write at its own pace."""
    log = ["journalctl", "--quiet", "-o", "cat", "-u", unit]
    wait_until(lambda: text in machine.text(*log), f"{text!r} in the journal of {unit}")


def messages(machine, folder):
    text = machine.run(["cat", f"{folder}/flows.json"], check=False).stdout
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("suffix,folder,sockets", [
    ("", "/var/lib/netlogd/upload", "/run/netlogd"),
    # In the folder that systemd makes for the lines of file sinks.
    ("@wg0", "/var/log/netlogd@wg0", "/run/netlogd@wg0"),
])
def test_under_systemd(machine, suffix, folder, sockets):
    units = [f"netlogd{suffix}.service", f"netlogd-upload{suffix}.service"]
    # Before the first start, when the folder for the lines may not be there yet; as each service's user, too.
    config = f"/etc/netlogd/{suffix.lstrip('@') or 'netlogd'}.conf"
    for options in [], ["--as", "netlogd"], ["--as", "netlogd-upload"]:
        checked = machine.run(["netlogd", "--check-config", "--config", config, *options], check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), options
    start(machine, units[0])
    status = json.loads(machine.text("netlogctl", "--socket", f"{sockets}/control.sock", "--json", "status"))
    assert status["tun"]["source"] == "ebpf", status
    wait_until(lambda: machine.text("systemctl", "show", "-P", "ActiveState", units[1]) == "active", "the uploader")

    assert "connected, run as a separate service" in machine.text("netlogctl", "--socket", f"{sockets}/control.sock", "status")

    def counted():
        machine.run(["ping", "-c", "1", "-W", "0.01", "100.64.0.2"], check=False)
        return any("virtualTraffic" in message for message in messages(machine, folder))
    wait_until(counted, "a message with the traffic in the file")

    # Root owns the /proc entries of a process that is not dumpable. (Sanitizers need ptrace.)
    for unit in units if not sanitized() else []:
        pid = machine.text("systemctl", "show", "-P", "MainPID", unit)
        assert machine.text("stat", "-c", "%U", f"/proc/{pid}", f"/proc/{pid}/environ").split()[1] == "root"
        assert machine.text("sed", "-n", r"s/^Uid:\t\([0-9]*\).*/\1/p", f"/proc/{pid}/status") != "0"

    main = machine.text("systemctl", "show", "-P", "MainPID", units[1])
    if not sanitized():
        status = machine.text("cat", f"/proc/{main}/status").splitlines()
        assert {"Seccomp:\t2", "NoNewPrivs:\t1", "CapBnd:\t0000000000000000"} <= set(status)
    machine.run(["kill", "-KILL", main])
    wait_until(lambda: machine.text("systemctl", "show", "-P", "MainPID", units[1]) not in ("0", main), "another")
    n = len(messages(machine, folder))
    wait_until(lambda: counted() and len(messages(machine, folder)) > n, "messages after a killed uploader")
    machine.run(["systemctl", "reload", *units])
    machine.run(["systemctl", "stop", units[0]])
    wait_until(lambda: machine.text("systemctl", "show", "-P", "ActiveState", *units).split() == ["inactive"] * 2,
               "both at rest")
    results = machine.text("systemctl", "show", "-P", "Result", *units).split()
    assert results == ["success", "success"]
    for unit in units:
        assert machine.text("journalctl", "--quiet", "-o", "cat", "-p", "warning", f"_SYSTEMD_UNIT={unit}") == ""


def test_tailscale_under_systemd(machine):
    """The helper runs within the daemon's unit: its filter, its user, its view of the files."""
    machine.run(["mkdir", "/run/tailscale"])
    # The same folder, seen from here.
    server = Tailscaled(f"/proc/{machine.pid}/root/run/tailscale/tailscaled.sock")
    try:
        server.add("gate", "100.64.0.2")
        text = machine.text("cat", "/etc/netlogd/netlogd.conf").replace("source=none", "source=tailscale")
        machine.run(["sh", "-c", 'printf "%s\\n" "$1" >/etc/netlogd/netlogd.conf', "sh", text])
        start(machine, "netlogd.service")

        def status():
            return json.loads(machine.text("netlogctl", "--json", "status"))["sock"]
        wait_until(lambda: status()["state"] == "counting" and "reason" not in status(), "a reading")
        wait_until(lambda: server.watchers, "a watcher of the bus")
        main = machine.text("systemctl", "show", "-P", "MainPID", "netlogd.service")
        helper, name = machine.text("ps", "-o", "pid=,comm=", "--ppid", main).split()
        assert name == "netlogd-tailsca"
        fields = dict(line.split(":\t", 1) for line in machine.text("cat", f"/proc/{helper}/status").splitlines())
        assert {fields[name] for name in ("CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1" and fields["Uid"].split()[0] != "0"
        server.count("gate", tx=3, rx=4)
        wait_until(lambda: [(entry["dst"], entry["txBytes"], entry["rxBytes"])
                            for message in messages(machine, "/var/lib/netlogd/upload")
                            for entry in message.get("physicalTraffic", [])] == [("127.3.3.40:4", 3, 4)], "the counts")
        assert status()["errors"] == 0
        machine.run(["systemctl", "stop", "netlogd.service"])
        assert machine.run(["test", "-e", f"/proc/{helper}"], check=False).returncode == 1
    finally:
        server.close()
        machine.run(["sed", "-i", "s/source=tailscale/source=none/", "/etc/netlogd/netlogd.conf"])


def test_a_restart_delivers_everything_and_takes_no_time(machine):
    """The uploader stops after the daemon, whose last messages it delivers."""
    start(machine, "netlogd.service")
    upload = "/var/lib/netlogd/upload"
    wait_until(lambda: machine.text("netlogctl", "status") and messages(machine, upload), "a delivered message")
    begun = time.monotonic()
    machine.run(["systemctl", "restart", "netlogd.service"])
    lasted = time.monotonic() - begun
    print(f"systemctl restart netlogd: {lasted:.2f} s")
    assert lasted < (20 if sanitized() else 3)
    log = machine.text("journalctl", "--quiet", "-o", "cat", "_SYSTEMD_UNIT=netlogd.service")
    assert "remain" not in log, log
    # "stopped" was delivered before the uploader stopped.
    texts = [message.get("text", "") for message in messages(machine, upload)]
    assert "netlogd: stopped" in texts
    machine.run(["systemctl", "stop", "netlogd.service"])
    texts = [message.get("text", "") for message in messages(machine, upload)]
    assert texts[-1] == "netlogd: stopped"


@pytest.mark.parametrize("suffix", ["", "@wg0"])
def test_check_of_places_that_the_units_cannot_write(machine, suffix):
    """--check-config says what the start would fail for; what it advises makes the start succeed."""
    config = f"/etc/netlogd/{suffix.lstrip('@') or 'netlogd'}.conf"
    daemon, uploader = f"netlogd{suffix}.service", f"netlogd-upload{suffix}.service"
    place = f"/srv/netlogd{suffix}"

    def check(*options):
        result = machine.run(["netlogd", "--check-config", "--config", config, *options], check=False)
        return result.returncode, result.stderr

    def read_only(key, path, unit, directory):
        return (f"{key} = {path}: read-only for {unit} (ProtectSystem=strict)", f"systemctl edit {unit}",
                f'"ReadWritePaths={directory}"')
    machine.run(["cp", config, config + ".good"])
    try:
        machine.run(["sed", "-i", f"s,^state-directory=.*,&\\nmetrics-textfile={place}/metrics/netlogd.prom,;"
                     f"s,^path=.*,path={place}/lines/flows.json,;$a[spool]\\ndirectory={place}/spool", config])
        status, text = check()
        assert status == 78, text
        for words in (*read_only("[spool] directory", f"{place}/spool", daemon, f"{place}/spool"),
                      *read_only("metrics-textfile", f"{place}/metrics/netlogd.prom", daemon, f"{place}/metrics"),
                      *read_only("path", f"{place}/lines/flows.json", uploader, f"{place}/lines")):
            assert words in text, text
        # Each user hears of its own, and of nothing else that is wrong.
        assert text.count("\n") == 3, text
        assert check("--as", "netlogd")[1].count("\n") == 2 and check("--as", "netlogd-upload")[1].count("\n") == 1
        machine.run(["sh", "-e", "-c", f"""
            install -d -o netlogd -g netlogd-upload -m 2750 {place}/spool
            install -d -o netlogd -m 755 {place}/metrics
            install -d -o netlogd-upload -m 750 {place}/lines
            for unit in {daemon} {uploader}; do mkdir -p /etc/systemd/system/$unit.d; done
            printf '[Service]\\nReadWritePaths={place}/spool {place}/metrics\\n' > /etc/systemd/system/{daemon}.d/a.conf
            printf '[Service]\\nReadWritePaths={place}/lines\\n' > /etc/systemd/system/{uploader}.d/a.conf
            systemctl daemon-reload"""])
        assert check() == (0, "")
        start(machine, daemon)
        wait_until(lambda: all(machine.run(["test", "-s", f"{place}/{name}"], check=False).returncode == 0
                               for name in ("lines/flows.json", "metrics/netlogd.prom")), "lines and metrics")
        # The rights of the users count, too; and what ReadWritePaths= cannot allow.
        machine.run(["chown", "root", f"{place}/metrics"])
        status, text = check()
        assert status == 78 and "netlogd.prom: Permission denied (checked as user netlogd)" in text, text
        for folder, words in ("/home/x", f"{daemon} cannot see it (ProtectHome=yes)"), ("/tmp", "(PrivateTmp=yes)"):
            machine.run(["sed", "-i", f"s,^metrics-textfile=.*,metrics-textfile={folder}/netlogd.prom,", config])
            status, text = check()
            assert status == 78 and words in text, text
    finally:
        machine.run(["systemctl", "stop", daemon, uploader], check=False)
        machine.run(["cp", config + ".good", config])
        machine.run(["rm", "-rf", f"/etc/systemd/system/{daemon}.d", f"/etc/systemd/system/{uploader}.d", config + ".good"])
        machine.run(["systemctl", "daemon-reload"])


@pytest.mark.parametrize("suffix", ["", "@wg0"])
def test_a_reload_asks_the_running_daemon(machine, suffix):
    """Not the one whose socket the changed file names: it is the daemon that says what needs a restart."""
    name = suffix.lstrip("@") or "netlogd"
    path, unit = f"/etc/netlogd/{name}.conf", f"netlogd{suffix}.service"
    start(machine, unit)
    machine.run(["cp", path, path + ".good"])
    try:
        machine.run(["sed", "-i", "s,^control-socket=.*,control-socket=/run/netlogd/moved.sock,", path])
        assert machine.run(["systemctl", "reload", unit], check=False).returncode != 0
        in_journal(machine, unit, f"the one that runs with this file is at /run/netlogd{suffix}/control.sock")
        in_journal(machine, unit, "[netlogd] control-socket changes only with a restart of netlogd")
        # One that runs with another file is not asked.
        machine.run(["cp", path, "/tmp/netlogd.conf"])
        other = machine.run(["netlogctl", "--config", "/tmp/netlogd.conf", "reload"], check=False)
        assert other.returncode == 1 and "no daemon answers at /run/netlogd/moved.sock, which /tmp" in other.stderr, other.stderr
    finally:
        machine.run(["mv", path + ".good", path])
        machine.run(["systemctl", "stop", unit, f"netlogd-upload{suffix}.service"], check=False)


def test_a_reload_with_an_error_fails(machine):
    """systemctl says so, the journal says where, and the running configuration stays."""
    path = "/etc/netlogd/netlogd.conf"
    units = ["netlogd.service", "netlogd-upload.service"]
    start(machine, units[0])
    wait_until(lambda: machine.text("systemctl", "show", "-P", "ActiveState", units[1]) == "active", "the uploader")
    machine.run(["cp", path, path + ".good"])
    machine.run(["sed", "-i", "s/^period=.*/period=soon/", path])
    line = machine.text("sed", "-n", "/^period=soon/=", path)
    for unit in units:
        reload = machine.run(["systemctl", "reload", unit], check=False)
        assert reload.returncode != 0, unit
        in_journal(machine, unit, f"{path}:{line}:")
        assert machine.text("systemctl", "show", "-P", "ActiveState", unit) == "active"
    assert json.loads(machine.text("netlogctl", "--json", "status"))["window"]["periodMs"] == 100
    machine.run(["mv", path + ".good", path])
    for unit in units:
        machine.run(["systemctl", "reload", unit])
    machine.run(["systemctl", "stop", units[0]])


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(20)
    sock.connect("/run/netlogd-wg-broker.sock")
    for interface in sys.stdin:
        sock.sendall(f"interface={interface.strip()}\\nnames=\\n\\n".encode())
        told = b""
        while not told.endswith(b"\\n\\n") and (data := sock.recv(65536)):
            told += data
        sys.stdout.write(told.decode())
        sys.stdout.flush()
"""


def test_the_broker_sees_names_and_no_other_file_of_roots(machine):
    """The daemon's user gets the names in /etc/wireguard, in which only root may look."""
    secret = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
    key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

    def ask(*interfaces, user="netlogd"):
        return machine.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c", ASK],
                           stdin="".join(f"{interface}\n" for interface in interfaces), check=False)

    machine.run(["rm", "-rf", "/etc/wireguard"])
    machine.run(["mkdir", "-p", "/var/backups/secret"])
    machine.run(["systemctl", "start", "netlogd-wg-broker.socket"])
    try:
        # Without the folder there are no names, and a broker that is started later sees it.
        assert ask("wg9").stdout == "errno=2\n\n"
        machine.run(["sh", "-ec", f"""
            mkdir -m 700 /etc/wireguard
            umask 077
            printf '%s\\n' '[Interface]' 'PrivateKey = {secret}' '' '### Client laptop' '[Peer]' \\
                'PublicKey = {key}' 'PresharedKey = {secret}' > /etc/wireguard/wg9.conf"""])
        answer = ask("wg9", "wg8", "../passwd").stdout
        token, *lines = answer.splitlines()
        assert token.startswith("token=") and lines == [
            f"public_key={'01' * 32}", "name=laptop", "errno=0", "", "errno=2", ""], answer
        assert ask("wg9", user="nobody").returncode != 0
        # What a running one sees.
        seen = machine.run(["sh", "-ec", """
            mkfifo /tmp/questions /tmp/answers
            setpriv --reuid netlogd --regid netlogd --clear-groups /usr/bin/python3 -c "$0" \\
                < /tmp/questions > /tmp/answers &
            exec 3> /tmp/questions 4< /tmp/answers
            echo wg9 >&3
            read -r _ <&4
            unit=$(systemctl list-units --no-legend --plain --state=running 'netlogd-wg-broker@*' | cut -d ' ' -f 1)
            pid=$(systemctl show -P MainPID "$unit")
            ls /proc/$pid/root/etc
            ls /proc/$pid/root/var/lib /proc/$pid/root/root 2>&1 | grep -c netlogd || true
            ls /proc/$pid/root/var/backups | wc -l
            exec 3>&-
            wait
            rm /tmp/questions /tmp/answers""", ASK]).stdout.split()
        assert seen in (["ld.so.cache", "wireguard", "0", "0"], ["wireguard", "0", "0"]), seen
    finally:
        machine.run(["systemctl", "stop", "netlogd-wg-broker.socket"], check=False)
        machine.run(["rm", "-rf", "/etc/wireguard", "/var/backups/secret"])


def test_directories_of_an_instance(machine):
    """Their owners; neither side writes the other's; and root follows no links that netlogd leaves."""
    machine.run(["sh", "-ec", """
        mkdir -p /etc/victim
        echo root > /etc/victim/file
        for link in /run/netlogd/wg9 /var/lib/netlogd/wg9 /run/netlogd/@wg9 /var/lib/netlogd/upload@wg9; do
            setpriv --reuid netlogd --regid netlogd --clear-groups ln -s /etc/victim $link
        done
        sed s/wg0/wg9/g /etc/netlogd/wg0.conf > /etc/netlogd/wg9.conf"""])
    units = ["netlogd@wg9.service", "netlogd-upload@wg9.service"]

    def describe(*paths):
        return machine.text("stat", "-c", "%U:%G %a", *paths).splitlines()
    machine.run(["systemctl", "start", units[0]], check=False)
    assert describe("/etc/victim", "/etc/victim/file") == ["root:root 755", "root:root 644"]
    start(machine, units[0])
    wait_until(lambda: messages(machine, "/var/log/netlogd@wg9"), "a delivered message")
    assert describe("/var/lib/netlogd@wg9", "/var/lib/netlogd@wg9/spool", "/var/lib/netlogd-upload@wg9",
                    "/var/lib/netlogd-upload@wg9/node.logid", "/var/lib/netlogd-upload@wg9/main/cursor",
                    "/run/netlogd@wg9", "/run/netlogd@wg9/control.sock") == [
        "netlogd:netlogd-upload 710", "netlogd:netlogd-upload 750", "netlogd-upload:netlogd-upload 2750",
        "netlogd-upload:netlogd-upload 600", "netlogd-upload:netlogd-upload 640",
        "netlogd:netlogd-upload 755", "netlogd:netlogd 660"]
    segment = machine.text("sh", "-c", "ls -d /var/lib/netlogd@wg9/spool/[0-9]* | head -1")
    assert describe(segment) == ["netlogd:netlogd-upload 640"]
    for user, path in ("netlogd", "/var/lib/netlogd-upload@wg9"), ("netlogd-upload", "/var/lib/netlogd@wg9"):
        tried = machine.run(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "touch", f"{path}/other"],
                            check=False)
        assert "Permission denied" in tried.stderr
    machine.run(["systemctl", "stop", *units])
    assert describe("/etc/victim", "/etc/victim/file") == ["root:root 755", "root:root 644"]


def test_upload_socket_is_the_uploaders(machine):
    """Members of the group may read the status, and see no secrets."""
    machine.run(["useradd", "-M", "guest"])
    start(machine, "netlogd.service")
    ask = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(json.dumps({"method": sys.argv[2], "more": True}).encode() + b"\\0")
print(s.recv(65536).split(b"\\0")[0].decode())
"""

    def call(user, socket, method):
        return json.loads(machine.text("setpriv", "--reuid", user, "--regid", user, "--groups", "netlogd", "/usr/bin/python3",
                                       "-c", ask, f"/run/netlogd/{socket}.sock", method))
    assert "status" in call("guest", "control", "org.netlogd.control.Status")["parameters"]
    assert call("guest", "upload", "org.netlogd.upload.Watch")["error"] == "org.varlink.service.PermissionDenied"
    assert "error" not in call("netlogd-upload", "upload", "org.netlogd.upload.Watch")
    machine.run(["systemctl", "stop", "netlogd.service"])


def by_hand(machine):
    """Runs the daemon as root until its uploader has delivered a message, and stops it."""
    machine.run(["sh", "-ec", """
        netlogd --config /etc/netlogd/netlogd.conf 2> /tmp/by-hand.log &
        tries=300
        until [ -s /var/lib/netlogd/upload/flows.json ]; do
            tries=$((tries - 1))
            [ $tries -gt 0 ] || { cat /tmp/by-hand.log >&2; exit 1; }
            sleep 0.1
        done
        kill $!
        wait $!"""])


def test_by_hand_then_as_a_service(machine):
    """What root's daemon leaves in the service's directories, the service can use."""
    machine.run(["systemctl", "stop", "netlogd.service"])
    machine.run(["sh", "-ec", "rm -rf /var/lib/netlogd; systemd-tmpfiles --create netlogd.conf"])
    by_hand(machine)
    assert machine.text("find", "/var/lib/netlogd", "/run/netlogd", "-user", "root") == ""
    n = len(messages(machine, "/var/lib/netlogd/upload"))
    start(machine, "netlogd.service")
    wait_until(lambda: len(messages(machine, "/var/lib/netlogd/upload")) > n, "a message of the service")
    machine.run(["systemctl", "stop", "netlogd.service"])


def test_directories_of_another_user(machine):
    """The reason names the path, its owner and what to do; nothing is tried again meanwhile; and it helps."""
    machine.run(["sh", "-ec", "systemctl stop netlogd.service; rm -rf /var/lib/netlogd"])
    by_hand(machine)
    # As if there had been no such users yet.
    machine.run(["chown", "-R", "65533:65533", "/var/lib/netlogd/upload"])
    machine.run(["systemd-tmpfiles", "--create", "netlogd.conf"])
    since = machine.text("date", "+%s.%N")
    assert machine.run(["systemctl", "start", "netlogd.service"], check=False).returncode != 0

    def journal(unit):
        return machine.text("journalctl", "--quiet", "-o", "cat", f"--since=@{since}", f"_SYSTEMD_UNIT={unit}.service")

    reason = "/var/lib/netlogd/lock: cannot open: Permission denied: /var/lib/netlogd/lock belongs to root (mode 0600), " \
        "this process to netlogd"
    wait_until(lambda: reason in journal("netlogd"), "the daemon's reason")
    wait_until(lambda: "/var/lib/netlogd/upload/ids belongs to another user (mode 0700)" in journal("netlogd-upload"),
               "the uploader's reason")
    for unit in "netlogd.service", "netlogd-upload.service":
        wait_until(lambda unit=unit: machine.text("systemctl", "show", "-P", "ActiveState", unit) == "failed", unit)
        assert machine.text("systemctl", "show", "-P", "NRestarts", unit) == "0"
        assert machine.text("systemctl", "show", "-P", "ExecMainStatus", unit) == "77"
    (advice,) = re.findall(r'start again: "([^"]*)"', journal("netlogd"))
    machine.run(["sh", "-ec", advice])
    wait_until(lambda: messages(machine, "/var/lib/netlogd/upload"), "a delivered message")
    machine.run(["sh", "-ec", "systemctl stop netlogd.service; rm -rf /var/lib/netlogd.by-hand"])


def test_missing_users(machine):
    """Starting again makes no user: it is not tried."""
    machine.run(["sh", "-ec", """
        mkdir -p /run/systemd/system/netlogd.service.d
        printf '[Service]\\nUser=nobody-of-that-name\\n' > /run/systemd/system/netlogd.service.d/user.conf
        systemctl daemon-reload"""])
    try:
        machine.run(["systemctl", "start", "netlogd.service"], check=False)
        state = machine.text("systemctl", "show", "-P", "ActiveState", "-P", "ExecMainStatus", "netlogd.service")
        assert sorted(state.split()) == ["217", "failed"]
        assert machine.text("systemctl", "show", "-P", "NRestarts", "netlogd.service") == "0"
    finally:
        machine.run(["sh", "-ec", "rm -r /run/systemd/system/netlogd.service.d; systemctl daemon-reload; "
                                  "systemctl reset-failed netlogd.service"])
