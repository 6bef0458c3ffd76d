/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * netlogd-tailscale as the sock device runs it: started when it is needed, without a descriptor but one end
 * of a pair of sockets and without capabilities; started anew when it has ended, after a pause that grows.
 * Used by one thread, at whose end the helper ends too.
 */

#include "common/cleanup.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tailscale_helper;

/*
 * program: NULL for the one that belongs to this program. socket: of tailscaled's API. 0; -ENOENT: there is
 * no such program; or -ENOMEM. Nothing is started yet.
 */
int tailscale_helper_new(const char *program, const char *socket, struct tailscale_helper **ret_helper);
/* Ends it, at once. */
void tailscale_helper_free(struct tailscale_helper *helper);
DEFINE_CLEANUP(struct tailscale_helper *, tailscale_helper_free);

/* Asks for a reading. 1: of a helper that was started for it; 0; -EAGAIN: in a pause; or another -errno. */
int tailscale_helper_ask(struct tailscale_helper *helper, uint64_t number);
/*
 * What it says, waiting until a time of the boot clock (in ns). The number of bytes; 0: nothing came in time;
 * -EPIPE: it has ended, and status says how.
 */
ssize_t tailscale_helper_read(struct tailscale_helper *helper, int64_t deadline, char *buffer, size_t size);
/* It makes no sense: ends it. */
void tailscale_helper_give_up(struct tailscale_helper *helper);
/* 0 while there is none. */
pid_t tailscale_helper_pid(const struct tailscale_helper *helper);
