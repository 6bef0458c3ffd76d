/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The files that the configuration names, for an uploader that can't reach them: it gives up its user and its
 * access when it starts, but they are replaced while it runs (a new password, a new certificate, a rotated
 * file). The broker is a child process that keeps the rights that the uploader started with. It has no
 * network and reads nothing from it; it opens only what the configuration names, only for the purpose that it
 * is named for, and passes descriptors.
 *
 * Where the uploader's own user can write, a path may lead anywhere, by a link to one of root's files for
 * example. From the first such directory on, the broker follows it with that user's rights.
 *
 * Any thread of the uploader may call these functions. Those that open files also work without a broker
 * (NULL), for tests of the parts that use them.
 */

#include "common/cleanup.h"
#include "daemon/upload/broker/protocol.h"
#include "daemon/upload/broker/serve.h"

#include <stdbool.h>

struct broker;

/*
 * Starts it; it ends with this process. Before any thread starts, and before the confinement. The broker has
 * its own copies of the options' descriptors. 0 or -errno.
 */
int broker_new(const struct broker_options *options, struct broker **ret_broker);
void broker_free(struct broker *broker);
DEFINE_CLEANUP(struct broker *, broker_free);
/* Whether it is still running. Without it, the uploader must be restarted. */
bool broker_is_alive(const struct broker *broker);

/* The following return a descriptor, owned by the caller, or -errno; -EPERM for what the configuration does
 * not name. */

/* The configuration file. If it is valid, the names in it count from now on. */
int broker_open_config(struct broker *broker, const char *path);
/* A password, a token, a certificate or its key. */
int broker_open_secret(struct broker *broker, const char *path);
/* A private log ID, which is created if it is missing. */
int broker_open_log_id(struct broker *broker, const char *path);
/* upload.sock, connected. */
int broker_connect(struct broker *broker);
/* What stands for the spool directory (common/spool/directory.h). *ret_watched: new messages wake the inotify
 * descriptor. */
int broker_open_spool(struct broker *broker, bool *ret_watched);

/*
 * A process for one file sink, so that a hanging file system holds up nothing else: a socket to it, owned by
 * the caller. The process ends when the socket is closed.
 */
int broker_open_writer(struct broker *broker);
/*
 * From that process (-1: without one): the file of a file sink, for reading and appending, created if it is
 * missing; and its directory, to be synced. 0 or -errno; -EPIPE when the process is gone.
 */
int broker_open_lines(int writer_fd, const char *path, int *ret_fd, int *ret_directory_fd);
/* Renames that file to PATH.1, and each PATH.n to the next number; PATH.8 is replaced. An empty file of the
 * same mode takes its place. 0 or -errno, likewise. */
int broker_rotate_lines(int writer_fd, const char *path);

/* Notifies the service manager. */
void broker_notify(struct broker *broker, enum broker_notification what);
