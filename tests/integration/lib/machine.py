# SPDX-License-Identifier: BSD-3-Clause
"""systemd as process 1, in its own namespaces, on an overlay of this machine's files whose changes stay in memory, or
on a root of its own. Everything in it ends when its first process does."""
import contextlib
import os

from .process import Process, children, process_name, run
from .wait import wait_until

# Arguments: a mount point, a tree that is copied over this machine's root, and a machine ID.
OVERLAY = """
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cp -a "$2/." "$1/root/"
cd "$1/root"
"""
# Arguments: a mount point, a root that is used as it is, and a machine ID.
ROOT = """
set -eu
mount --bind "$2" "$1"
cd "$1"
"""
BOOT = """
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for name in null zero full random urandom tty; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
ln -s /proc/self/fd dev/fd
mkdir -p dev/pts dev/shm old
mount -t devpts devpts dev/pts
ln -s pts/ptmx dev/ptmx
echo "$3" > etc/machine-id
pivot_root . old
cd /
umount -l /old
rmdir /old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target
"""


class Machine:
    def __init__(self, directory, tree, is_root=False):
        """Boots. The files of the tree replace those of this machine, or it is the whole root."""
        root = directory / "machine"
        root.mkdir()
        self.process = Process(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--net", "--ipc",
             "--uts", "--cgroup", "sh", "-c", (ROOT if is_root else OVERLAY) + BOOT, "sh", root, tree, os.urandom(16).hex()],
            directory / "machine.log")
        self.pid = None
        try:
            self.pid = wait_until(self._first, "process 1")
            wait_until(lambda: self.run(["systemctl", "is-active", "basic.target"], check=False).returncode == 0,
                       "basic.target", 60)
        except BaseException:
            self.close()
            raise

    def _first(self):
        """systemd's pid, once the shell has executed it."""
        assert self.process.running, self.process.text()
        for pid in children(self.process.pid):
            # The shell's commands come and go.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if process_name(pid) == "systemd":
                    return pid
        return None

    def run(self, command, **options):
        return run(["nsenter", "-t", self.pid, "-a", "--wd=/", *command], **options)

    def run_outside_network(self, command, **options):
        """The same, but with the network of this machine, for what has to be downloaded."""
        return run(["nsenter", "-t", self.pid, "-m", "-p", "-u", "-i", "-C", "--wd=/", *command], **options)

    def text(self, *command):
        return self.run(command).stdout.strip()

    def close(self):
        self.process.close()
        # Its processes end a moment later, and write until then.
        wait_until(lambda: not self.pid or not os.path.exists(f"/proc/{self.pid}"), "the end of process 1")
