#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends UDP as fast as it can from one CPU and prints the number of packets. A program, to have a CPU to itself.

usage: flood.py CPU SECONDS SIZE SOURCE DESTINATION FIRST-PORT PORTS [CHANGE]

Source port n sends to destination port n. With CHANGE the ports move on after that many packets, so that connections
come and go.
"""
import errno
import os
import socket
import sys
import time


def sockets(source, destination, first, count):
    made = []
    for port in range(first, first + count):
        sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, port))
        sock.connect((destination, port))
        made.append(sock)
    return made


def send(sock, payload):
    while True:
        try:
            sock.send(payload)
            return
        except ConnectionRefusedError:
            # An answer to an earlier packet; this one was not sent.
            continue
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


def main(cpu, seconds, size, source, destination, first, count, change=0):
    first, count, change = int(first), int(count), int(change)
    os.sched_setaffinity(0, {int(cpu)})
    payload = bytes(int(size))
    end = time.monotonic() + float(seconds)
    sent = base = 0
    open_sockets = sockets(source, destination, first, count)
    while time.monotonic() < end:
        for _ in range(16):
            for sock in open_sockets:
                send(sock, payload)
            sent += count
        if change and sent - base >= change:
            base = sent
            for sock in open_sockets:
                sock.close()
            first = 20000 + (first - 20000 + count) % 30000
            open_sockets = sockets(source, destination, first, count)
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
