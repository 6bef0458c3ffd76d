# SPDX-License-Identifier: BSD-3-Clause
"""Which programs are attached to an interface's ingress and egress, according to the kernel."""
import contextlib
import ctypes
import errno
import os
import socket
import struct

from .process import run

SYS_BPF = 321  # x86-64
BPF_PROG_LOAD = 5
BPF_PROG_QUERY = 16
BPF_LINK_CREATE = 28
BPF_PROG_TYPE_SCHED_CLS = 3
BPF_F_BEFORE = 8
TCX_ATTACH_TYPES = {"tcx ingress": 46, "tcx egress": 47}

LIBC = ctypes.CDLL(None, use_errno=True)


def tcx_programs(namespace, interface, attach_type):
    """IDs of the attached TCX programs; None if the kernel has no TCX."""
    ids = (ctypes.c_uint32 * 64)()
    with namespace.inside():
        # linux/bpf.h, union bpf_attr.query: target_ifindex, attach_type, query_flags, attach_flags, prog_ids,
        # prog_cnt, padding, prog_attach_flags, link_ids, link_attach_flags, revision
        attributes = ctypes.create_string_buffer(
            struct.pack("=IIIIQIIQQQQ", socket.if_nametoindex(interface), attach_type, 0, 0,
                        ctypes.addressof(ids), len(ids), 0, 0, 0, 0, 0))
        result = LIBC.syscall(SYS_BPF, BPF_PROG_QUERY, attributes, len(attributes) - 1)
    if result != 0:
        error = ctypes.get_errno()
        if error == errno.EINVAL:
            return None
        if error == errno.ENOENT:
            return []
        raise OSError(error, f"BPF_PROG_QUERY: {os.strerror(error)}")
    count = struct.unpack_from("=I", attributes, 24)[0]
    return list(ids[:count])


def bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes)
    result = LIBC.syscall(SYS_BPF, command, data, len(data) - 1)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf({command}): {os.strerror(error)}")
    return result


@contextlib.contextmanager
def ahead(namespace, interface, attach_type):
    """Puts a TCX program that lets everything pass before all others."""
    # r0 = -1 (TCX_NEXT); exit
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xb7, 0, 0, -1, 0x95, 0, 0, 0))
    license_text = ctypes.create_string_buffer(b"GPL")
    program = bpf(BPF_PROG_LOAD, struct.pack("=IIQQIIQII", BPF_PROG_TYPE_SCHED_CLS, 2, ctypes.addressof(code),
                                             ctypes.addressof(license_text), 0, 0, 0, 0, 0))
    try:
        with namespace.inside():
            link = bpf(BPF_LINK_CREATE, struct.pack("=IIIIIIQ", program, socket.if_nametoindex(interface), attach_type,
                                                    BPF_F_BEFORE, 0, 0, 0))
        try:
            yield
        finally:
            os.close(link)
    finally:
        os.close(program)


def attached(namespace, interface):
    """Everything on the interface: TCX programs, and tc filters with a program."""
    found = []
    for name, attach_type in TCX_ATTACH_TYPES.items():
        found += [f"{name} program {number}" for number in tcx_programs(namespace, interface, attach_type) or []]
    for hook in "ingress", "egress":
        output = run(namespace.prefix(["tc", "filter", "show", "dev", interface, hook]), check=False).stdout
        found += [f"{hook} filter {line.strip()}" for line in output.splitlines() if "bpf" in line and "handle" in line]
    return found
