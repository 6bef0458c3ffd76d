# SPDX-License-Identifier: BSD-3-Clause
"""netlogd-wg-broker, started once per connection as systemd does it (packaging/systemd/netlogd-wg-broker.socket)."""
import contextlib
import os
import socket
import subprocess
import threading

from .daemon import build_directory
from .process import dies_with_us


class Broker:
    """Listens on a path open to everybody; starts a broker for each connection, as root without capabilities.

    names: the folder that it sees as /etc/wireguard.
    """

    def __init__(self, path, names=None):
        self.path = path
        self.names = names
        self.processes = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        os.chmod(path, 0o666)
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        program = os.path.join(build_directory(), "daemon/netlogd-wg-broker")
        command = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", program]
        if self.names:
            command = ["unshare", "--mount", "--propagation=private", "sh", "-c",
                       'mount --bind "$0" /etc/wireguard && exec "$@"', str(self.names), *command]
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    self.processes.append(subprocess.Popen(command, stdin=connection))

    def end_connections(self):
        """As when systemd stops the brokers. Returns how many there were."""
        running = [process for process in self.processes if process.poll() is None]
        for process in running:
            process.kill()
            process.wait()
        return len(running)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        self.end_connections()
