# SPDX-License-Identifier: BSD-3-Clause
"""Other VPNs' tunnels, each as two connected ends (lib.network.Tunnel)."""
import json
import os
import socket
import struct

from .network import Tunnel
from .process import run
from .wait import wait_until

OPENVPN_PORT, NEBULA_PORT, TINC_PORT = 1194, 4242, 655


def _interface_is_up(end):
    """Whether the interface exists, is up and has its address."""
    if not end.namespace.interface_exists(end.interface):
        return False
    link = end.namespace.ip_json("address", "show", "dev", end.interface)[0]
    return "UP" in link["flags"] and end.address in [info["local"] for info in link["addr_info"]]


def _wait_up(ends):
    for end in ends:
        wait_until(lambda end=end: _interface_is_up(end) or not end.process.running, f"{end.interface} to be up")
        assert end.process.running, end.process.text()


def _reach(ends):
    """Waits until the ends have found each other; packets sent before are lost."""
    wait_until(lambda: ends[0].namespace.run("ping", "-c", "1", "-W", "1", ends[1].address, check=False).returncode == 0,
               "the tunnel's other end")


def _ends(network, kind, addresses=("100.64.0.1", "100.64.0.2"), endpoints=("192.0.2.1", "192.0.2.2")):
    left, right, _ = network.pair()
    return [Tunnel(namespace, network.interface_name(kind), address, endpoint=endpoint)
            for namespace, address, endpoint in zip((left, right), addresses, endpoints)]


def certificate(directory, name):
    """Makes a key and a self-signed certificate; returns the certificate's fingerprint."""
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.crt"])
    text = run(["openssl", "x509", "-in", directory / f"{name}.crt", "-noout", "-fingerprint", "-sha256"]).stdout
    return text.strip().partition("=")[2]


def openvpn_pair(network, tls=True, tap=False):
    """OpenVPN, point to point: with TLS and fresh certificates, or with a static key."""
    ends = _ends(network, "ov")
    directory = network.directory
    options = [[], []]
    if tls:
        prints = [certificate(directory, f"openvpn{number}") for number in range(2)]
        for number, role in enumerate(("--tls-server", "--tls-client")):
            options[number] += [role, "--cert", directory / f"openvpn{number}.crt", "--key",
                                directory / f"openvpn{number}.key", "--peer-fingerprint", prints[1 - number]]
        options[0] += ["--dh", "none"]
    else:
        run(["openvpn", "--genkey", "secret", directory / "openvpn.key"])
        options = [["--secret", directory / "openvpn.key", str(number), "--cipher", "AES-256-CBC"] for number in range(2)]
    for number, end in enumerate(ends):
        other = ends[1 - number]
        end.port = OPENVPN_PORT
        address = [end.address, "255.255.255.0" if tap else other.address]
        end.process = end.namespace.start(
            "openvpn", "--dev", end.interface, "--dev-type", "tap" if tap else "tun", "--proto", "udp",
            "--local", end.endpoint, "--remote", other.endpoint, "--port", OPENVPN_PORT, "--ifconfig", *address,
            "--verb", "3", *options[number], name="openvpn")
    _wait_up(ends)
    _reach(ends)
    return ends


def nebula_pair(network):
    """nebula with a fresh certificate authority; each end's configuration says where the other is."""
    ends = _ends(network, "ne")
    directory = network.directory
    run(["nebula-cert", "ca", "-name", "netlogd test", "-out-crt", directory / "ca.crt", "-out-key", directory / "ca.key"])
    for number, end in enumerate(ends):
        other = ends[1 - number]
        name = f"node{number}"
        files = directory / f"{name}.crt", directory / f"{name}.key"
        run(["nebula-cert", "sign", "-ca-crt", directory / "ca.crt", "-ca-key", directory / "ca.key", "-name", name,
             "-ip", f"{end.address}/24", "-out-crt", files[0], "-out-key", files[1]])
        allow = [{"port": "any", "proto": "any", "host": "any"}]
        config = directory / f"{name}.yml"
        # JSON is YAML too.
        config.write_text(json.dumps({
            "pki": {"ca": str(directory / "ca.crt"), "cert": str(files[0]), "key": str(files[1])},
            "static_host_map": {other.address: [f"{other.endpoint}:{NEBULA_PORT}"]},
            "lighthouse": {"am_lighthouse": False, "interval": 60, "hosts": []},
            "listen": {"host": end.endpoint, "port": NEBULA_PORT},
            "punchy": {"punch": False},
            "tun": {"disabled": False, "dev": end.interface, "mtu": 1300},
            "logging": {"level": "warning", "format": "text"},
            "firewall": {"outbound": allow, "inbound": allow},
        }), encoding="utf-8")
        end.port = NEBULA_PORT
        end.process = end.namespace.start("nebula", "-config", config, name="nebula")
    _wait_up(ends)
    _reach(ends)
    return ends


def tinc_pair(network):
    """tinc in router mode, with fresh keys."""
    ends = _ends(network, "ti")
    folders = []
    for number, end in enumerate(ends):
        folder = network.directory / f"tinc{number}"
        (folder / "hosts").mkdir(parents=True)
        folders.append(folder)
        (folder / "tinc.conf").write_text(f"Name = node{number}\nInterface = {end.interface}\nDeviceType = tun\n"
                                          f"ConnectTo = node{1 - number}\nBindToAddress = {end.endpoint}\n")
        (folder / "hosts" / f"node{number}").write_text(
            f"Address = {end.endpoint}\nSubnet = {end.address}/32\nPort = {TINC_PORT}\n")
        up = folder / "tinc-up"
        # Smaller than the path's MTU: otherwise tinc answers packets itself once it finds out that they are too large.
        up.write_text(f"#!/bin/sh\nip address add {end.address}/24 dev $INTERFACE\n"
                      "ip link set $INTERFACE mtu 1400 up\n")
        os.chmod(up, 0o700)
        run(["tincd", "-c", folder, "-K", "2048"])
    for number, folder in enumerate(folders):
        name = f"node{number}"
        (folders[1 - number] / "hosts" / name).write_text((folder / "hosts" / name).read_text())
    for number, end in enumerate(ends):
        end.port = TINC_PORT
        end.process = end.namespace.start("tincd", "-c", folders[number], "-D", "-d3",
                                          f"--pidfile={folders[number]}/pid", name="tincd")
    _wait_up(ends)
    _reach(ends)
    return ends


def _tcp_sent(sock, ipv6):
    """(packets, bytes) that the connecting TCP handed to IP, retransmissions included: struct tcp_info, linux/tcp.h."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 208)
    packets, = struct.unpack_from("I", info, 136)  # tcpi_segs_out
    data, = struct.unpack_from("Q", info, 200)  # tcpi_bytes_sent
    # Each packet has timestamps; the first has 8 more bytes of options.
    return packets, data + packets * ((40 if ipv6 else 20) + 32) + 8


def transfer_tcp(left, right, size, port=5001, chunk=32768, ipv6=False):
    """Sends size bytes from left to right over one connection, and waits for each chunk: at most one is in flight.

    Returns the connection's key as left sees it, and the packets and bytes that left's TCP says it sent. By then both
    ends are closed and the last packet has arrived.
    """
    for end in left, right:
        end.namespace.sysctl("net.ipv4.tcp_dsack", 0)  # it makes some packets longer
    addresses = (left.address6, right.address6) if ipv6 else (left.address, right.address)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    with right.namespace.inside():
        listener = socket.create_server((addresses[1], port), family=family)
    with listener:
        listener.settimeout(20)
        with left.namespace.inside():
            client = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with client:
            client.settimeout(20)
            client.bind((addresses[0], 0))
            client_port = client.getsockname()[1]
            client.connect((addresses[1], port))
            server, _ = listener.accept()
            with server:
                server.settimeout(20)
                sent = 0
                while sent < size:
                    piece = bytes(min(chunk, size - sent))
                    client.sendall(piece)
                    got = 0
                    while got < len(piece):
                        got += len(server.recv(1 << 20))
                    server.sendall(b"+")
                    assert client.recv(1) == b"+"
                    sent += len(piece)
                client.shutdown(socket.SHUT_WR)
                assert server.recv(1) == b""
            assert client.recv(1) == b""
            tcp_sent = _tcp_sent(client, ipv6)
    text = (lambda address, number: f"[{address}]:{number}") if ipv6 else (lambda address, number: f"{address}:{number}")
    return (6, text(addresses[0], client_port), text(addresses[1], port)), tcp_sent


def settle(left, right):
    """Sends a ping each way; it overtakes nothing, so what was sent before has been counted at both ends."""
    left.namespace.run("ping", "-c", "1", "-W", "10", right.address)
    right.namespace.run("ping", "-c", "1", "-W", "10", left.address)
