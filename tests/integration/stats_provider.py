#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A VPN's stats socket (control/org.netlogd.device.varlink) that returns what a test wants.

As a module: StatsProvider(path). As a program, to try it by hand: stats_provider.py SOCKET [CONNECTIONS] counts a
packet of 100 bytes on each connection for each extraction.
"""
import json
import os
import socket
import sys
import threading

CONTROL = "org.netlogd.device"


class StatsProvider:
    """Serves until closed. An extraction returns what is in `connections` and empties it.

    misbehave is None, "hang" (never answers an extraction), "hang-enable", "giant-enable" (answers
    SetStatisticsEnabled with 48 MiB), "die" (closes the connection instead of answering), "half" (closes it after
    the first part), "garbage" (bytes that are not JSON), "nonsense" (JSON that is not an answer), "error" (a Varlink
    error), "endless" (parts that never end), or a function that is called with the socket.
    """

    def __init__(self, path, part=None):
        self.path = str(path)
        self.part = part
        self.lock = threading.Lock()
        self.connections = []
        self.misbehave = None
        self.enabled = None
        self.calls = []
        self.clients = set()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def count(self, connections):
        with self.lock:
            self.connections += connections

    def close(self):
        """As when a VPN ends: removes the socket and closes all connections."""
        self.listener.shutdown(socket.SHUT_RDWR)
        with self.lock:
            for client in self.clients:
                client.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.clients.add(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, client):
        rest = b""
        try:
            while data := client.recv(65536):
                *messages, rest = (rest + data).split(b"\0")
                if not all(self._answer(client, json.loads(message)) for message in messages):
                    return
        except (ConnectionError, BrokenPipeError):
            pass
        finally:
            with self.lock:
                self.clients.discard(client)
            client.close()

    @staticmethod
    def _send(client, parameters, **members):
        client.sendall(json.dumps({"parameters": parameters, **members}).encode() + b"\0")

    def _answer(self, client, request):
        """False: close the connection."""
        method = request["method"].removeprefix(CONTROL + ".")
        with self.lock:
            self.calls.append(method)
            misbehave = self.misbehave
        if method == "SetStatisticsEnabled":
            if misbehave == "hang-enable":
                return True
            if misbehave == "giant-enable":
                client.sendall(b'{"parameters":{"x":[{}' + b",{}" * (16 << 20))
                return True
            with self.lock:
                self.enabled = request["parameters"]["enabled"]
            self._send(client, {})
            return True
        assert method == "ExtractStatistics", method
        return self._extract(client, misbehave)

    def _extract(self, client, misbehave):
        with self.lock:
            connections, self.connections = self.connections, []
        part = self.part or max(len(connections), 1)
        if callable(misbehave):
            misbehave(client)
            return True
        if misbehave == "hang":
            return True
        if misbehave == "die":
            return False
        if misbehave == "half":
            self._send(client, {"connections": connections[:part]}, continues=True)
            return False
        if misbehave == "garbage":
            client.sendall(b"\xff\xfe not JSON\0")
            return True
        if misbehave == "nonsense":
            self._send(client, {"connections": [{"proto": 6, "src": "nowhere", "dst": ""}]})
            return True
        if misbehave == "error":
            self._send(client, {}, error=CONTROL + ".Unwell")
            return True
        while misbehave == "endless":
            self._send(client, {"connections": []}, continues=True)
        while len(connections) > part:
            self._send(client, {"connections": connections[:part]}, continues=True)
            connections = connections[part:]
        self._send(client, {"connections": connections})
        return True


def connection(number, packets=1, size=100):
    return {"proto": 17, "src": f"100.64.0.1:{1024 + number % 60000}", "dst": f"100.64.{1 + number // 60000}.2:53",
            "txPkts": packets, "txBytes": packets * size}


def main():
    provider = StatsProvider(sys.argv[1], part=1000)
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    try:
        while True:
            input("Enter counts one more packet on each connection, control-C ends. ")
            provider.count([connection(i) for i in range(number)])
    except (KeyboardInterrupt, EOFError):
        provider.close()


if __name__ == "__main__":
    main()
