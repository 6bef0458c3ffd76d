/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the two sides of the broker agree on, and how paths are followed. */

#include "daemon/upload/broker/broker.h"

#include <limits.h>
#include <sys/types.h>

/* The first byte of a question; a path follows, where one is needed. */
enum broker_question {
	BROKER_CONFIG = 'c',
	BROKER_SECRET = 's',
	BROKER_LOG_ID = 'i',
	BROKER_WRITER = 'w', /* a socket for the following two, with a process behind it */
	BROKER_LINES = 'l',
	BROKER_ROTATE = 'r',
	BROKER_SPOOL = 'd',
	BROKER_CONNECT = 'u',
	BROKER_NOTIFY = 'n', /* followed by a digit: enum broker_notification */
};

/* Two connected ends for questions. 0 or -errno. */
int broker_socket_pair(int *ret_ours, int *ret_theirs);
/* Answers until nobody asks any more. spool_socket_fd is asked for the spool's entries. */
void broker_serve(const struct broker_options *options, int socket_fd, int spool_socket_fd);

/*
 * Where a path leads: an entry (path) of a directory. theirs: somewhere before it the uploader's user can
 * write, so that the rest, which may have more parts, is to be followed with its rights; else it is one part,
 * which is no symbolic link.
 */
struct broker_place {
	int directory_fd;
	char path[PATH_MAX];
	bool theirs;
};

/* 0 or -errno. For a broker that has the uploader's user anyway, all is theirs. */
int broker_find(const struct sandbox_user *user, const char *path, struct broker_place *ret_place);
void broker_place_deinit(struct broker_place *place);

/* ---- for both, and for tests without a broker: in a place, with the rights of the moment ---- */

int broker_do_open(int directory_fd, const char *path, int flags);
int broker_do_log_id(int directory_fd, const char *path, int flags);
int broker_do_lines(int directory_fd, const char *path, int flags, int *ret_fd, int *ret_directory_fd);
int broker_do_rotate(int directory_fd, const char *path, int last);
