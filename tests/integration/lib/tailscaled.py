# SPDX-License-Identifier: BSD-3-Clause
"""The local API of tailscaled on a Unix socket, as far as netlogd reads it, with nothing behind it.

Written from Tailscale's public sources, version 1.98.8: ipn/ipnstate/ipnstate.go (Status, PeerStatus),
tailcfg/derpmap.go (DERPMap), tailcfg/tailcfg.go (UserProfile), ipn/localapi/localapi.go (the handlers, and that they
accept no other host than local-tailscaled.sock), ipn/backend.go (Notify). Members and their order are as Go encodes
them, answers are chunked as net/http sends them. test_tailscale_client.py has a client read it that nobody here wrote.
"""
import contextlib
import hashlib
import json
import os
import re
import socket
import threading
from urllib.parse import parse_qs, urlsplit

VERSION = "1.98.8-t0123456789-g0123456789"
HOST = "local-tailscaled.sock"
NO_PRIVATE_KEYS = 1 << 4  # ipn.NotifyNoPrivateKeys
NEVER = "0001-01-01T00:00:00Z"
SUFFIX = "tail1234.ts.net"


def node_key(name):
    return "nodekey:" + hashlib.sha256(name.encode()).hexdigest()


class Raw:
    """An answer as it stands on the wire."""

    def __init__(self, *pieces, close=True):
        self.pieces = pieces
        self.close = close


def chunked(body):
    return b"%x\r\n%s\r\n" % (len(body), body) if body else b""


def head(status=200, **headers):
    reasons = {200: "OK", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}
    lines = [f"HTTP/1.1 {status} {reasons.get(status, 'Scripted')}", f"Tailscale-Version: {VERSION}", "Tailscale-Cap: 138"]
    return "\r\n".join(lines + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()] + ["", ""]).encode()


def answer(body, kind="application/json"):
    """A whole answer, chunked."""
    return Raw(head(Content_Type=kind, Transfer_Encoding="chunked") + chunked(body) + b"0\r\n\r\n", close=False)


def error(status, text):
    """As http.Error() in Go."""
    body = text.encode() + b"\n"
    return Raw(head(status, Content_Type="text/plain; charset=utf-8", Content_Length=len(body)) + body, close=False)


class Tailscaled:
    """Serves until closed. A test changes `peers` (by name: dicts as PeerStatus), `users`, `regions`, `state`.

    `script` has answers of /status that come before the real ones: Raw, or functions that take the socket. `bus` False:
    there is none (404).
    """

    def __init__(self, path, owner=None, bus=True):
        self.path = str(path)
        self.lock = threading.RLock()
        self.state = "Running"
        self.version = VERSION
        self.users = {1: "alice@example.com", 2: "bob@example.com"}
        self.regions = {1: "nyc", 4: "fra"}
        self.peers = {}
        self.self = self.make_node("self", ["100.64.0.1", "fd7a:115c:a1e0::1"])
        self.script = []
        self.derp_script = []
        self.bus = bus
        self.requests = []
        self.watchers = []
        self.clients = set()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        if owner is not None:
            os.chown(self.path, owner, owner)
        self.listener.listen(8)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    # ---- the network ----

    def make_node(self, name, addresses, tags=(), user=1, os_name="linux", allowed=()):
        node = {
            "ID": "n" + hashlib.sha256(name.encode()).hexdigest()[:12] + "CNTRL", "PublicKey": node_key(name), "HostName": name,
            "DNSName": f"{name}.{SUFFIX}.", "OS": os_name, "UserID": user, "TailscaleIPs": list(addresses),
            "AllowedIPs": [f"{address}/{128 if ':' in address else 32}" for address in addresses] + list(allowed)}
        if tags:
            node["Tags"] = list(tags)
        if allowed:
            node["PrimaryRoutes"] = list(allowed)
        node.update({"Addrs": [], "CurAddr": "", "Relay": "", "PeerRelay": "", "RxBytes": 0, "TxBytes": 0,
                     "Created": "2026-01-02T03:04:05.6Z", "LastWrite": NEVER, "LastSeen": NEVER, "LastHandshake": NEVER,
                     "Online": True, "ExitNode": False, "ExitNodeOption": False, "Active": False,
                     "PeerAPIURL": [f"http://{addresses[0]}:42010"] if addresses else [], "TaildropTarget": 1,
                     "NoFileSharingReason": "", "Capabilities": ["https://tailscale.com/cap/is-owner"],
                     "CapMap": {"https://tailscale.com/cap/is-owner": None}, "InNetworkMap": True, "InMagicSock": True,
                     "InEngine": True, "KeyExpiry": "2027-01-02T03:04:05Z"})
        return node

    def add(self, name, *addresses, relay="fra", **options):
        with self.lock:
            self.peers[name] = self.make_node(name, addresses, **options)
            self.peers[name]["Relay"] = relay
            return self.peers[name]

    def count(self, name, tx=0, rx=0, **changes):
        """More traffic of a peer, and changes of its members."""
        with self.lock:
            peer = self.peers[name]
            if tx or rx:
                peer["TxBytes"] += tx
                peer["RxBytes"] += rx
            peer.update(changes)

    def status(self, peers=True):
        """ipnstate.Status, in Go's order."""
        with self.lock:
            shown = {peer["PublicKey"]: peer for peer in self.peers.values()}
            return {
                "Version": self.version, "TUN": True, "BackendState": self.state, "HaveNodeKey": True, "AuthURL": "",
                "TailscaleIPs": self.self["TailscaleIPs"], "Self": self.self, "Health": [], "MagicDNSSuffix": SUFFIX,
                "CurrentTailnet": {"Name": "example.com", "MagicDNSSuffix": SUFFIX, "MagicDNSEnabled": True},
                "CertDomains": [f"self.{SUFFIX}"],
                "Peer": dict(sorted(shown.items())) if peers and shown else None,
                "User": {str(number): {"ID": number, "LoginName": login, "DisplayName": login.split("@", maxsplit=1)[0]}
                         for number, login in sorted(self.users.items())},
                "ClientVersion": None}

    def derp_map(self):
        with self.lock:
            return {"Regions": {str(number): {"RegionID": number, "RegionCode": code, "RegionName": code.upper(), "Nodes": [
                {"Name": f"{number}a", "RegionID": number, "HostName": f"derp{number}.example.com", "IPv4": "192.0.2.250"}]}
                for number, code in sorted(self.regions.items())}}

    # ---- the server ----

    def tell(self, **notify):
        """Something on the bus (ipn.Notify)."""
        line = json.dumps({"Version": self.version, **notify}).encode() + b"\n"
        with self.lock:
            for client in list(self.watchers):
                with contextlib.suppress(OSError):
                    client.sendall(chunked(line))

    def asked(self, resource):
        """How often it was asked for."""
        with self.lock:
            return sum(urlsplit(target).path == f"/localapi/v0/{resource}" for target, _ in self.requests)

    def close(self, unlink=True):
        """As when tailscaled ends; unlink: it removes the socket."""
        self.listener.shutdown(socket.SHUT_RDWR)
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        if unlink:
            with contextlib.suppress(FileNotFoundError):
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
                rest += data
                while b"\r\n\r\n" in rest:
                    request, rest = rest.split(b"\r\n\r\n", 1)
                    if not self._answer(client, request.decode()):
                        return
        except OSError:
            pass
        finally:
            with self.lock:
                self.clients.discard(client)
                if client in self.watchers:
                    self.watchers.remove(client)
            client.close()

    def _answer(self, client, request):
        line, *fields = request.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        with self.lock:
            made = self._make(method, target, headers)
            self.requests.append((target, headers))
            if made is None:
                self.watchers.append(client)
                made = Raw(head(Content_Type="application/json", Transfer_Encoding="chunked") + chunked(
                    json.dumps({"Version": self.version, "SessionID": "0123", "State": 6}).encode() + b"\n"), close=False)
        if callable(made):
            return made(client)
        for piece in made.pieces:
            client.sendall(piece)
        return not made.close

    def _make(self, method, target, headers):
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if headers.get("host") not in ("", HOST) or "origin" in headers or "referer" in headers:
            return error(403, "invalid localapi request")
        match = re.fullmatch(r"/localapi/v0/([a-z-]+)", parts.path)
        resource = match and match[1]
        if method != "GET" or resource not in ("status", "derpmap", "watch-ipn-bus"):
            return error(404, "404 page not found")
        if resource == "watch-ipn-bus":
            if not self.bus:
                return error(404, "404 page not found")
            # For whoever may only read. Whoever may do more gets private keys without the bit.
            return None if int(query.get("mask", "0")) & NO_PRIVATE_KEYS else error(
                403, "watch IPN bus access denied, must set ipn.NotifyNoPrivateKeys when not running as admin/root or operator")
        if resource == "derpmap":
            return self.derp_script.pop(0) if self.derp_script else answer(self.encode(self.derp_map()))
        if self.script:
            return self.script.pop(0)
        return answer(self.encode(self.status(query.get("peers") != "false")))

    @staticmethod
    def encode(value):
        """As Go's json.Encoder with SetIndent("", "\\t")."""
        return json.dumps(value, indent="\t", separators=(",", ": ")).encode() + b"\n"
