/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The files that the configuration names, for an uploader that can't reach them: it gives up its user and the
 * way to them when it starts, and they are replaced while it runs (a new password, a new certificate, a
 * rotated file). The broker is the part of it that stays as it was started. It has no network and reads
 * nothing from it; it opens what the configuration names, for what it is named for, and hands over
 * descriptors.
 *
 * Where the uploader's own user can write, anything may stand in a path's way, a link to a root's file for
 * example. From the first such directory on, the broker has that user's rights.
 *
 * All functions here may be called from any thread of the uploader, and without a broker (NULL): they then
 * open for themselves, which is for tests of the parts that use them.
 */

#include "common/cleanup.h"
#include "daemon/upload/sandbox/user.h"

#include <stdbool.h>
#include <stddef.h>

struct broker;
struct config;

enum broker_notification { BROKER_READY, BROKER_RELOADING, BROKER_STOPPING };

struct broker_options {
	const struct config *config;
	struct sandbox_user user; /* that the uploader is going to be */
	int spool_fd;		  /* the spool directory; -1: opened when it is there */
	int inotify_fd;		  /* gets a watch on it; -1: none */
};

/*
 * Starts it: a child process, which ends when this one does. Before any thread is started, and before the
 * confinement. Besides its own copies it needs neither of the descriptors again. 0 or -errno.
 */
int broker_new(const struct broker_options *options, struct broker **ret_broker);
void broker_free(struct broker *broker);
DEFINE_CLEANUP(struct broker *, broker_free);
/* Whether it is there. Without it the uploader must be started again. */
bool broker_is_alive(const struct broker *broker);

/* The following give a descriptor, owned by the caller, or -errno; -EPERM for what the configuration does not
 * name. */

/* The configuration file. If it is sound, what it names counts from here on. */
int broker_open_config(struct broker *broker, const char *path);
/* A password, a token, a certificate or its key. */
int broker_open_secret(struct broker *broker, const char *path);
/* A private log ID, which is made if it isn't there. */
int broker_open_log_id(struct broker *broker, const char *path);
/* upload.sock, connected. */
int broker_connect(struct broker *broker);
/*
 * What stands for the spool directory (common/spool/directory.h). *ret_watched: messages in it wake the
 * inotify descriptor.
 */
int broker_open_spool(struct broker *broker, bool *ret_watched);

/*
 * A process for one file sink, which may hang where its files are without holding up anything else: a socket
 * to it, owned by the caller. It ends when that is closed.
 */
int broker_open_writer(struct broker *broker);
/*
 * From that process (-1: without one): the file of a file sink, to be read and appended to, made if it isn't
 * there; and its directory, to be synced. 0 or -errno; -EPIPE when the process is no more.
 */
int broker_open_lines(int writer_fd, const char *path, int *ret_fd, int *ret_directory_fd);
#define BROKER_ROTATE_COUNT 8
/* Gives that file the name PATH.1, and each PATH.n the next number; the last is replaced. A
 * new file of the same mode takes its place. 0 or -errno, likewise. */
int broker_rotate_lines(int writer_fd, const char *path);

/* Tells the service manager. */
void broker_notify(struct broker *broker, enum broker_notification what);
