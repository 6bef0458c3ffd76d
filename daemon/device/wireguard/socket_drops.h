/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * Datagrams that the UDP sockets of this network namespace had no room or no memory for, IPv4 and IPv6, since
 * it exists (RcvbufErrors and MemErrors, RFC 4113 and Documentation/networking/snmp_counter.rst). UINT64_MAX:
 * not known.
 */
uint64_t socket_drops_read(void);
/* The same from the texts of /proc/net/snmp and /proc/net/snmp6. */
uint64_t socket_drops_parse(const char *snmp, const char *snmp6);
