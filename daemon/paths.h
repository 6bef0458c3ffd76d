/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The state directory and the paths of the two sockets. */

struct daemon;

/* Creates missing directories and locks the state directory (daemon->lock_fd). 0, -EWOULDBLOCK when another
 * daemon has it, or another -errno; logged. */
int paths_prepare(struct daemon *daemon);
/* Binds the control socket (daemon->control_fd); it is not served yet. 0 or -errno; logged. */
int paths_open_control_socket(struct daemon *daemon);
/* Serves an uploader that runs as a service, on upload.sock beside the control socket. 0 or -errno; logged.
 */
int paths_open_upload_socket(struct daemon *daemon);
/* Removes the paths of both sockets, if they were bound. */
void paths_remove_sockets(struct daemon *daemon);
