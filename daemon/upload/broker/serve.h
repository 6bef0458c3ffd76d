/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The broker's side: its process. */

#include "daemon/upload/sandbox/user.h"

struct config;

struct broker_options {
	const struct config *config;
	struct sandbox_user user; /* the one that the uploader becomes */
	int spool_fd;		  /* the spool directory; -1: opened once it exists */
	int inotify_fd;		  /* gets a watch on it; -1: none */
};

/* Serves until the other ends are closed. spool_socket_fd takes requests for the spool's entries. */
void broker_serve(const struct broker_options *options, int socket_fd, int spool_socket_fd);
