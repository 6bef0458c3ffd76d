# SPDX-License-Identifier: BSD-3-Clause
"""TLS in front of the collector, by nginx: HTTP/2, authorities, client certificates and names."""
import socket
import threading

import pytest

from collector import Answer, Collector
from lib.process import Process, run
from lib.uploader import DaemonSide, Uploader, sequences
from lib.wait import wait_until


class Authority:
    """Issues certificates."""

    def __init__(self, directory, name):
        self.directory = directory
        self.key = directory / f"{name}.key"
        self.certificate = directory / f"{name}.pem"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate])

    def issue(self, name, san, days=("-days", "2")):
        key, request, certificate, extensions = (self.directory / f"{name}{suffix}"
                                                 for suffix in (".key", ".csr", ".crt", ".ext"))
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-keyout", key, "-out", request])
        extensions.write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
             "-CAcreateserial", *days, "-extfile", extensions, "-out", certificate])
        return certificate, key


class Nginx:
    def __init__(self, directory, collector, server, extra=""):
        certificate, key = server
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.directory = directory
        self.log = directory / "access.log"
        config = directory / "nginx.conf"
        config.write_text(f"""
daemon off; master_process off; worker_processes 1; user root;
pid {directory}/nginx.pid; error_log {directory}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
  log_format protocol '$server_protocol $ssl_protocol $status';
  access_log {self.log} protocol;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s; client_max_body_size 32m;
  server {{
    listen 127.0.0.1:{self.port} ssl http2;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    {extra}
    location / {{ proxy_pass {collector.url}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
        self.process = Process(["nginx", "-c", config, "-e", directory / "nginx-error.log"],
                               directory / "nginx.log")
        wait_until(self.listens, "nginx")

    def listens(self):
        assert self.process.running, self.process.text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.close()


@pytest.fixture
def authority(directory):
    return Authority(directory, "authority")


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


@pytest.fixture
def setup(directory, authority, collector):
    """Makes an nginx, an uploader that talks to it, and the daemon's side of its link."""
    made = []

    def make(server, extra="", host="localhost", **keys):
        nginx = Nginx(directory, collector, server, extra)
        made.append(nginx)
        settings = {"type": "logtail", "url": f"https://{host}:{nginx.port}", "collection": "x",
                    "ca-file": authority.certificate,
                    **{key.replace("_", "-"): value for key, value in keys.items()}}
        uploader = Uploader(directory, {"main": {key: value for key, value in settings.items() if value}})
        made.append(uploader)
        side = DaemonSide(directory / "upload.sock")
        made.append(side)
        uploader.fill(3)
        uploader.start()
        return nginx, uploader, side

    yield make
    for one in reversed(made):
        one.close()


def test_http2(setup, authority, collector):
    nginx, uploader, side = setup(authority.issue("server", "DNS:localhost"), "ssl_protocols TLSv1.2 TLSv1.3;")
    assert sequences(collector.wait_messages(3)) == [1, 2, 3]
    uploader.fill(2)
    assert sequences(collector.wait_messages(5)) == [1, 2, 3, 4, 5]
    # An uploader that ends before it has the answer is a 499 in nginx's log.
    side.wait_sink("main", lambda s: s["deliveredSequence"] == 5)
    uploader.stop()
    lines = wait_until(lambda: len(text := nginx.log.read_text().splitlines()) >= 2 and text, "access log")
    assert all(line.startswith("HTTP/2.0 TLSv1.3 200") for line in lines)


def test_tls_1_2_is_enough_and_1_1_is_not(setup, authority, collector):
    nginx, uploader, _ = setup(authority.issue("server", "DNS:localhost"), "ssl_protocols TLSv1.2;")
    collector.wait_messages(3)
    uploader.stop()
    assert "TLSv1.2" in nginx.log.read_text()


def test_tls_1_1_is_refused(setup, authority, collector):
    _, uploader, side = setup(authority.issue("server", "DNS:localhost"),
                              "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT:@SECLEVEL=0;")
    side.wait_sink("main", lambda s: s["state"] == "retrying")
    uploader.stop()
    assert collector.requests == []


def refused(side, collector, uploader):
    sink = side.wait_sink("main", lambda s: s["state"] == "misconfigured")
    uploader.stop()
    assert collector.requests == []
    return sink["lastError"]


def test_wrong_name(setup, authority, collector):
    _, uploader, side = setup(authority.issue("server", "DNS:elsewhere.example"))
    assert "certificate" in refused(side, collector, uploader).lower()


def test_address_in_the_certificate(setup, authority, collector):
    _, uploader, _ = setup(authority.issue("server", "IP:127.0.0.1"), host="127.0.0.1")
    collector.wait_messages(3)
    uploader.stop()


def test_expired(setup, authority, collector):
    _, uploader, side = setup(authority.issue("server", "DNS:localhost", ("-days", "-1")))
    assert "expired" in refused(side, collector, uploader).lower()


def test_unknown_authority(setup, authority, collector, directory):
    other = directory / "other"
    other.mkdir()
    _, uploader, side = setup(Authority(other, "other").issue("server", "DNS:localhost"))
    assert "certificate" in refused(side, collector, uploader).lower()


def test_without_ca_file_the_system_decides(setup, authority, collector):
    """The test's authority is not one of the system's."""
    _, uploader, side = setup(authority.issue("server", "DNS:localhost"), ca_file=None)
    assert "certificate" in refused(side, collector, uploader).lower()


def test_missing_ca_file(setup, authority, collector, directory):
    _, uploader, side = setup(authority.issue("server", "DNS:localhost"), ca_file=directory / "none.pem")
    refused(side, collector, uploader)


def test_client_certificate(setup, authority, collector):
    extra = f"ssl_client_certificate {authority.certificate}; ssl_verify_client on;"
    certificate, key = authority.issue("node", None)
    _, uploader, _ = setup(authority.issue("server", "DNS:localhost"), extra, cert_file=certificate, key_file=key)
    assert sequences(collector.wait_messages(3)) == [1, 2, 3]
    uploader.stop()


def test_client_certificate_renewed_in_two_steps(setup, authority, collector, directory):
    """Read between the steps, they do not fit. At the reload that ends the renewal the new ones count, at once."""
    extra = f"ssl_client_certificate {authority.certificate}; ssl_verify_client on;"
    (certificate, key), (certificate_2, key_2) = authority.issue("node", None), authority.issue("node2", None)
    certificate_2.rename(certificate)
    _, uploader, side = setup(authority.issue("server", "DNS:localhost"), extra, cert_file=certificate, key_file=key)
    sink = side.wait_sink("main", lambda s: s["state"] == "misconfigured")
    assert sink["lastError"] == f"{certificate}: not a certificate and its unencrypted key in {key}"
    key_2.rename(key)
    uploader.reload()
    side.wait_sink("main", lambda s: s["deliveredSequence"] == 3)
    uploader.stop()
    assert sequences(collector.messages) == [1, 2, 3]


def test_client_certificate_missing(setup, authority, collector):
    """nginx answers everything with 400: all refused, so misconfigured, and nothing is set aside."""
    extra = f"ssl_client_certificate {authority.certificate}; ssl_verify_client on;"
    _, uploader, side = setup(authority.issue("server", "DNS:localhost"), extra)
    uploader.fill(20)
    sink = side.wait_sink("main", lambda s: s["state"] == "misconfigured")
    uploader.stop()
    assert sink["lastError"] == "HTTP 400 Bad Request"
    assert sink["quarantined"] == 0 and sink["backlogMessages"] == 23
    assert collector.requests == []


def test_environment_proxy_is_not_for_loopback(directory, collector):
    """Plain HTTP stays on this machine, whatever http_proxy is."""
    uploader = Uploader(directory, {"main": {"type": "logtail", "url": collector.url, "collection": "x"}})
    try:
        uploader.fill(1)
        uploader.start(env={"http_proxy": "http://192.0.2.1:3128", "all_proxy": "http://192.0.2.1:3128"})
        collector.wait_messages(1)
        uploader.stop()
    finally:
        uploader.close()


def test_environment_proxy(directory, authority, collector):
    """https goes through the proxy that the environment names."""
    asked = []
    with Collector() as proxy:
        proxy.default = lambda request: asked.append((request.method, request.target)) or Answer(502)
        uploader = Uploader(directory, {"main": {"type": "logtail", "url": "https://collector.example",
                                                 "collection": "x"}})
        try:
            uploader.fill(1)
            uploader.start(env={"https_proxy": proxy.url, "no_proxy": ""})
            proxy.wait_requests(1)
            uploader.stop()
        finally:
            uploader.close()
    assert asked[0] == ("CONNECT", "collector.example:443")


class Relay:
    """Between uploader and server; once `hang` is set, it discards what comes on its first connection."""

    def __init__(self, port):
        self.port = port
        self.hang = threading.Event()
        self.sockets = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = []
        self.spawn(self.accept)

    def spawn(self, function, *arguments):
        self.threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.port))
            self.sockets += [client, server]
            self.spawn(self.pump, client, server, self.connections == 1)
            self.spawn(self.pump, server, client, False)

    def pump(self, source, target, hangs):
        try:
            while data := source.recv(65536):
                if not (hangs and self.hang.is_set()):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(10)
        for one in self.sockets:
            one.close()


def test_hung_http2_connection_is_abandoned(setup, authority, collector):
    nginx, uploader, side = setup(authority.issue("server", "DNS:localhost"), timeout="2s")
    side.wait_sink("main", lambda s: s["deliveredSequence"] == 3)
    relay = Relay(nginx.port)
    try:
        uploader.sinks["main"]["url"] = f"https://localhost:{relay.listener.getsockname()[1]}"
        uploader.configure(uploader.sinks)
        uploader.reload()
        uploader.fill(1)
        side.wait_sink("main", lambda s: s["deliveredSequence"] == 4)
        assert relay.connections == 1
        relay.hang.set()
        for sequence in 5, 6, 7:
            uploader.fill(1)
            sink = side.wait_sink("main", lambda s, sequence=sequence: s["deliveredSequence"] == sequence)
            assert sink["retries"] == 1
        # The new connection is kept, and the old one is not used again.
        assert relay.connections == 2
        assert sequences(collector.messages) == [1, 2, 3, 4, 5, 6, 7]
    finally:
        relay.close()
