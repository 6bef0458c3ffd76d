/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What netlogd-tailscale does for the daemon: answers its requests for readings (form.h), and makes one
 * unasked when tailscaled tells of a change.
 */

/* fd: a stream socket that leads to the daemon. path: of the API's socket. 0 when the daemon has closed it;
 * or -errno. */
int serve(int fd, const char *path);
