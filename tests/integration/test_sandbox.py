# SPDX-License-Identifier: BSD-3-Clause
"""The uploader of a netlogd that root starts by hand: who it is, what it can reach, and that it works confined."""
import contextlib
import os
import resource
import pwd
import re
import shutil
import signal
import socket
import stat

import pytest

from lib.daemon import build_directory, program, sanitized
from lib.process import children, process_name, run
from lib.tun import Tun
from lib.uploader import sequences
from lib.wait import wait_until
from test_upload_tls import Authority, Nginx

UNNAMED = 65533


def expected_user():
    try:
        return pwd.getpwnam("netlogd-upload").pw_uid
    except KeyError:
        return UNNAMED


@pytest.fixture
def tun(network):
    return Tun(network, network.namespace())


@pytest.fixture
def stack():
    with contextlib.ExitStack() as made:
        yield made


def sections(tun, collector=None, **sink):
    made = {"tun": {"interface": tun.interface}, "sock": {"source": "none"}, "record": {"period": "30m"}}
    if collector:
        made["upload main"] = {"type": "logtail", "url": collector.url, "collection": "c", **sink}
    return made


def describe(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def start_by(daemon, *words):
    """Wraps the daemon's command in another one."""
    prefix = daemon.namespace.prefix
    daemon.namespace.prefix = lambda command: prefix([*words, *command])
    try:
        daemon.start()
    finally:
        daemon.namespace.prefix = prefix


@pytest.mark.parametrize("lacking,becomes", [("dac_read_search", True), ("setuid", False), ("chown", False)])
def test_root_of_a_container(tun, netlogd, collector_in, lacking, becomes):
    """Root without all capabilities: it keeps what it cannot give up, logs so, and delivers."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector))
    start_by(daemon, "setpriv", "--bounding-set", f"-{lacking}")
    status = describe(daemon.uploader())
    assert status["Uid"].split() == [str(expected_user() if becomes else 0)] * 4
    assert int(status["CapEff"], 16) == 0
    assert ("the uploader stays root" in daemon.log()) == (not becomes)
    collector.wait_messages(1)
    daemon.stop()


def test_identity(tun, netlogd):
    daemon = netlogd(tun.namespace, sections(tun)).start()
    pid = daemon.uploader()
    status = describe(pid)
    user = expected_user()
    assert status["Uid"].split() == [str(user)] * 4
    assert "0" not in status["Gid"].split()
    assert status["Groups"].split() == []
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    if not sanitized():
        assert status["Seccomp"] == "2"
    kinds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [kind for kind in kinds if "bpf" in kind], kinds
    # Its directory belongs to it alone; everything around is as closed as before.
    upload = daemon.state / "upload"
    assert (upload.stat().st_uid, stat.S_IMODE(upload.stat().st_mode)) == (user, 0o700)
    assert (daemon.state.stat().st_uid, stat.S_IMODE(daemon.state.stat().st_mode)) == (0, 0o700)
    for path in daemon.state.glob("spool/*"):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600), path
    (broker,) = children(pid)
    status = describe(broker)
    assert status["Groups"].split() == []
    # To read, and to become the uploader's user: no other capability.
    assert int(status["CapEff"], 16) == 1 << 2 | 1 << 6 | 1 << 7
    daemon.stop()
    wait_until(lambda: not os.path.exists(f"/proc/{broker}"), "the end of the broker")


def test_broker_ends_with_a_killed_uploader(tun, netlogd):
    daemon = netlogd(tun.namespace, sections(tun)).start()
    pid = daemon.uploader()
    (broker,) = children(pid)
    assert process_name(broker) == "netlogd-files"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{broker}"), "the end of the broker")
    another = wait_until(lambda: (one := daemon.uploader()) != pid and one, "another uploader")
    wait_until(lambda: children(another), "its broker")
    # And the other way round: without its broker the uploader is restarted.
    (broker,) = children(another)
    os.kill(broker, signal.SIGKILL)
    wait_until(lambda: daemon.uploader() not in (None, another), "an uploader after the broker's end")
    daemon.stop()


@contextlib.contextmanager
def listening(path):
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        if address == path:
            os.chmod(path, 0o600)
        yield


def test_what_it_can_reach(tun, netlogd, directory):
    """From inside the running process (sandbox_probe.c)."""
    open_to_all = directory / "open"
    open_to_all.write_text("for all")
    open_to_all.chmod(0o666)
    directory.chmod(0o755)
    daemon = netlogd(tun.namespace, sections(tun))
    files = ["/etc/shadow", "/etc/passwd", "/etc/hostname", "/root", daemon.config, open_to_all,
             daemon.state / "lock", daemon.state / "spool" / "lock", "/proc/1/environ"]
    sockets = [daemon.control_socket, str(directory / "root.sock"), f"@nl{os.getpid()}"]
    with listening(sockets[1]), listening(sockets[2]):
        daemon.start(env={
            "LD_PRELOAD": os.path.realpath(os.path.join(build_directory(), "tests/integration/libsandbox-probe.so")),
            "PROBE_FILES": ":".join(map(str, files)), "PROBE_SOCKETS": ":".join(map(str, sockets))})
        before = daemon.ctl("--json", "routes", "show").stdout
        wait_until(lambda: daemon.status()["publicId"], "its log ID")
        os.kill(daemon.uploader(), signal.SIGUSR1)
        wait_until(lambda: "probe call end: done" in daemon.log(), "the probe's end")
    results = dict(re.findall(r"^probe (.*): (\w+)$", daemon.log(), re.MULTILINE))
    denied = {f"{what} {path}": "EACCES" for what in ("read", "write") for path in files}
    denied["write /root"] = "EISDIR"
    denied |= {f"call {name}": "EPERM" for name in ("setuid", "setresuid", "setgid", "kill")}
    if sanitized():
        # Without a seccomp filter, the rest of the confinement still denies these.
        assert {results[f"connect {path}"] for path in sockets[:2]} == {"EACCES"}
    else:
        denied |= {f"connect {path}": "EPERM" for path in sockets}
        denied |= {f"call {name}": "EPERM" for name in (
            "socketpair-datagram", "io_uring_setup", "pidfd_open", "pidfd_getfd", "set_dumpable")}
    assert {name: results.get(name) for name in denied} == denied
    # ENOENT: where /proc hides other users' processes.
    assert {results[f"parent {entry}"] for entry in ("mem", "environ", "fd")} <= {"EACCES", "ENOENT"}
    # The broker opens what the configuration names, and files of the spool.
    asked = {name: result for name, result in results.items() if name.startswith("ask ")}
    assert set(asked) == {"ask s/etc/shadow", "ask l/etc/shadow", "ask i/etc/shadow", "ask /etc/shadow", "ask ..",
                          "ask ../lock"}
    assert not [name for name, result in asked.items() if result == "done"], asked
    assert daemon.ctl("--json", "routes", "show").stdout == before
    daemon.stop()


def test_state_of_an_earlier_run_as_root(tun, netlogd, collector_in):
    """Files of an uploader that ran as root: it continues from there, and sends nothing again."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector)).start()
    daemon.stop()
    first = sequences(collector.messages)
    assert len(first) >= 2
    private = (daemon.state / "upload/node.logid").read_text()
    run(["chown", "-R", "0:0", daemon.state])
    daemon.start()
    daemon.stop()
    ids = [(message["logtail"]["proc_id"], message["logtail"]["proc_seq"]) for message in collector.messages]
    assert len(ids) == len(set(ids)) == 2 * len(first)
    assert (daemon.state / "upload/node.logid").read_text() == private
    owners = {path.lstat().st_uid for path in (daemon.state / "upload").rglob("*")}
    assert owners == {expected_user()}


def test_foreign_files_keep_their_owner(tun, netlogd, directory):
    """The upload directory is given to the uploader; what its links point to is not."""
    secret = directory / "secret"
    secret.write_text("root's\n")
    secret.chmod(0o600)
    other = directory / "other"
    other.mkdir()
    (other / "file").write_text("")
    daemon = netlogd(tun.namespace, sections(tun))
    upload = daemon.state / "upload"
    upload.mkdir(parents=True, mode=0o700)
    daemon.state.chmod(0o700)
    (upload / "app").mkdir()
    (upload / "app" / "secret.key").write_text("root's\n")
    (upload / "run.sh").write_text("#!/bin/sh\n")
    os.link(secret, upload / "hard")
    os.symlink(secret, upload / "soft")
    os.symlink(other, upload / "directory")
    daemon.start()
    wait_until(lambda: upload.stat().st_uid == expected_user(), "its new owner")
    foreign = (secret, other, other / "file", upload / "app", upload / "app" / "secret.key", upload / "run.sh")
    assert {path.stat().st_uid for path in foreign} == {0}
    daemon.stop()


def test_what_root_restores_is_given_away_again(tun, netlogd, collector_in):
    """A log ID, a token and a sink's directory that root restored while netlogd was stopped."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector))
    token = daemon.state / "upload" / "token"
    daemon.configure({"upload main": {"bearer-token-file": token}})
    token.parent.mkdir(parents=True, mode=0o700)
    daemon.state.chmod(0o700)
    token.write_text("first\n")
    daemon.start()
    daemon.stop()
    for path in (token, daemon.state / "upload/node.logid"):
        text = path.read_text()
        path.unlink()
        path.write_text(text)
        path.chmod(0o600)
    run(["chown", "-R", "0:0", daemon.state / "upload" / "main"])
    before = len(collector.messages)
    daemon.start()
    daemon.stop()
    assert len(collector.messages) > before
    owners = {path.lstat().st_uid for path in (daemon.state / "upload").rglob("*")}
    assert owners == {expected_user()}


@pytest.mark.parametrize("section, keys", [
    ("spool", {"directory": "{upload}/spool"}), ("spool", {"directory": "{upload}"}),
    ("netlogd", {"upload-directory": "{state}"}), ("netlogd", {"upload-directory": "{state}/spool/upload"})])
def test_directories_within_each_other_are_refused(tun, netlogd, section, keys):
    daemon = netlogd(tun.namespace, sections(tun))
    places = {"state": daemon.state, "upload": daemon.state / "upload"}
    daemon.configure({section: {key: value.format(**places) for key, value in keys.items()}})
    assert daemon.launch().process.wait() == 78
    daemon.notify.close()
    assert "expected" in daemon.log()


def test_file_sink_that_hangs_holds_up_no_other(tun, netlogd, collector_in, directory):
    """On a frozen file system, only the process that opens the files hangs."""
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        **sections(tun, collector), "record": {"period": "100ms", "heartbeat": "1s"},
        "upload lines": {"type": "file", "path": directory / "flows"}}).start()
    wait_until(lambda: (directory / "flows").exists(), "the file")
    (broker,) = children(daemon.uploader())
    (writer,) = children(broker)
    for pid in (broker, writer):
        with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
            assert [line.split()[4] for line in limits if line.startswith("Max core file size")] == ["0"]
    os.kill(writer, signal.SIGSTOP)
    (directory / "flows").unlink()
    before = len(collector.messages)
    wait_until(lambda: len(collector.messages) >= before + 2, "messages to the other sink")
    assert not (directory / "flows").exists()
    os.kill(writer, signal.SIGCONT)
    wait_until(lambda: (directory / "flows").exists(), "the file again")
    # A process that ends is replaced.
    os.kill(writer, signal.SIGKILL)
    (directory / "flows").unlink()
    wait_until(lambda: (directory / "flows").exists(), "the file by another process")
    daemon.stop()


def test_link_in_its_directory_is_followed_with_its_rights(tun, netlogd, directory):
    """Root's log ID, linked to in place of the uploader's, is neither read nor used."""
    secret = directory / "secret.logid"
    run([program("netlogctl"), "id", "new", secret])
    public = run([program("netlogctl"), "id", "public", secret]).stdout.strip()
    daemon = netlogd(tun.namespace, sections(tun)).start()
    daemon.stop()
    path = daemon.state / "upload/node.logid"
    path.unlink()
    path.symlink_to(secret)
    os.lchown(path, expected_user(), expected_user())
    daemon.launch()
    wait_until(lambda: f"log ID file {path}: Permission denied" in daemon.log(), "its refusal")
    daemon.notify.wait(lambda states: "READY=1" in states, "READY=1")
    assert public not in daemon.ctl("--json", "status").stdout
    daemon.stop()


def test_root_only_secret_and_its_successor(tun, netlogd, collector_in, directory):
    """A password that only root can read; its replacement is used from the next request on."""
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    secret = closed / "token"

    def put(text):
        new = closed / "new"
        new.write_text(text)
        new.chmod(0o600)
        new.rename(secret)
    put("first-token\n")
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, sections(tun, collector, **{"bearer-token-file": secret})).start()
    daemon.flush()
    assert {request.headers["authorization"] for request in collector.requests} == {"Bearer first-token"}
    seen = len(collector.requests)
    put("second-token\n")
    daemon.call("Stop")
    assert {request.headers["authorization"] for request in collector.requests[seen:]} == {"Bearer second-token"}
    assert len(collector.requests) > seen
    daemon.stop()


def test_lack_of_descriptors_is_not_a_misconfiguration(tun, netlogd, collector_in, directory):
    """A token that cannot be opened for lack of descriptors is retried soon, not after a minute."""
    token = directory / "token"
    token.write_text("token\n")
    token.chmod(0o600)
    collector = collector_in(tun.namespace)
    daemon = netlogd(tun.namespace, {
        **sections(tun, collector, **{"bearer-token-file": token}), "record": {"period": "100ms", "heartbeat": "1s"}}).start()
    daemon.flush()
    (broker,) = children(daemon.uploader())
    limits = resource.prlimit(broker, resource.RLIMIT_NOFILE)
    resource.prlimit(broker, resource.RLIMIT_NOFILE, (3, limits[1]))
    sink = wait_until(lambda: (now := daemon.status()["sinks"][0])["state"] == "retrying" and now, "a retry")
    assert "Too many open files" in sink["lastError"]
    resource.prlimit(broker, resource.RLIMIT_NOFILE, limits)
    before = len(collector.messages)
    wait_until(lambda: len(collector.messages) > before, "messages again")
    daemon.stop()


def test_file_sink_in_roots_directory(tun, netlogd, directory):
    out = directory / "out"
    out.mkdir(mode=0o700)
    daemon = netlogd(tun.namespace, {**sections(tun), "upload lines": {"type": "file", "path": out / "flows"}}).start()
    daemon.stop()
    info = (out / "flows").stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o600)
    assert "netlogd: stopped" in (out / "flows").read_text()


def test_replaced_hosts_file(tun, netlogd, collector_in, directory, stack):
    """A name's new address is used, although the confinement allowed only the replaced file."""
    collector = collector_in(tun.namespace)
    etc = directory / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore=shutil.ignore_patterns("ssl", "alternatives"))
    (etc / "nsswitch.conf").write_text("hosts: files\n")
    (etc / "hosts").write_text("127.0.0.9 flows.test\n")
    authority = Authority(directory, "authority")
    with tun.namespace.inside():
        nginx = Nginx(directory, collector, authority.issue("server", "DNS:flows.test"))
    stack.callback(nginx.close)
    daemon = netlogd(tun.namespace, sections(tun, collector, url=f"https://flows.test:{nginx.port}",
                                             **{"ca-file": authority.certificate}))
    start_by(daemon, "unshare", "--mount", "--propagation", "private", "sh", "-ec",
             'mount --bind "$0" /etc; exec "$@"', etc)
    old = wait_until(daemon.uploader, "the uploader")
    wait_until(lambda: daemon.status()["sinks"][0].get("lastError"), "no collector there")
    assert collector.requests == []
    (etc / "hosts.new").write_text("127.0.0.1 flows.test\n")
    (etc / "hosts.new").rename(etc / "hosts")
    collector.wait_messages(1)
    assert daemon.uploader() != old
    assert "exited cleanly; restarting it" in daemon.log()
    daemon.stop()
    assert sequences(collector.messages) == list(range(1, len(sequences(collector.messages)) + 1))
