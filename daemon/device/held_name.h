/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A name that a daemon holds as long as it lives, whatever ends it, and that others can ask about without any
 * right: that of a Unix socket in the abstract namespace (man 7 unix), of which there is one per network
 * namespace.
 */

/* The name is held until the descriptor is closed. 0, -EADDRINUSE or another -errno. */
int held_name_take(const char *name, int *ret_fd);
/* 1: somebody holds it; 0: nobody does; -errno: could not ask. */
int held_name_ask(const char *name);
