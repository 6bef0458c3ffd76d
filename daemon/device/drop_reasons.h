/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The kernel's reasons for throwing a packet away (include/net/dropreason-core.h), by number and name.
 * Numbers differ between kernels, names hardly: they come from the running kernel's type information (BTF).
 */

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the names from the kernel; once for the process, further calls return the same. 0; -ENOENT: the
 * kernel has no type information; -EOPNOTSUPP: it gives no reasons (before 5.17); or another -errno. Called
 * from one thread, before the others ask for names.
 */
int drop_reasons_load(void);

/*
 * "NETFILTER_DROP" for a reason (daemon/bpf/drops_maps.h has its form: struct details' drop_reason): letters,
 * digits and underscores. One that has no name, or of a kernel whose names were not read, is the kernel's
 * number for it; such a text is valid until the thread's next call. Never NULL.
 */
const char *drop_reason_name(uint16_t reason);

/* What the program needs to know of a reason below DROPS_REASONS besides its name: enum drops_kind. */
uint16_t drop_reason_kind(uint16_t reason);

/* Whether the tracepoint names the socket that a received packet was for (kernel 6.11). */
bool drop_reasons_have_socket(void);
