/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A network namespace of the test's own, with interfaces made by ip(8). */

/* Runs `ip ARGUMENTS`. */
void ip(const char *arguments);
void write_sysctl(const char *path, const char *value);
/* A fixture: Check runs each test in a process of its own, which enters a new namespace with tun0 and lan0.
 */
void network_setup(void);
/* 5000 routes, every second one by tun0, the others by lan0. */
void add_many_routes(void);
