/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Whether a socket in /var/run/wireguard belongs to an interface of this network namespace. The folder is one
 * for all of them, and the socket is named after the interface only: a tunnel of the same name in a container
 * would answer for ours.
 */

#include <sys/types.h>

/*
 * Whether the process that serves a tunnel's socket can be that of the interface of this name in the network
 * namespace of the process `here` (0: this one). It is if it runs there; or if its own namespace has no
 * interface of this name, since one may be moved to another namespace after it was made. 0; -EXDEV: it
 * belongs to another namespace; -ESRCH: the process (or `here`) is not visible, so nobody can tell; or
 * another -errno.
 */
int wg_owner_check(pid_t process, pid_t here, const char *interface);
