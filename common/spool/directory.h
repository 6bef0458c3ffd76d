/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The segments of a spool directory, in the order in which their messages follow each other. */

#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_entry {
	uint64_t first_sequence;
	unsigned int attempt;
	char name[SPOOL_NAME_MAX];
};

struct spool_listing {
	struct spool_entry *entries;
	size_t n;
};

void spool_listing_deinit(struct spool_listing *listing);
#define _cleanup_spool_listing_ _cleanup_(spool_listing_deinit)

/*
 * directory_fd is the directory itself or, in a process that may not open anything in it, a socket to a
 * process that may: entries are requested from it by name, the directory as "." (fd_pass.h).
 */

/* Another descriptor for reading the directory, owned by the caller; or -errno. */
int spool_directory_open(int directory_fd);
/* Lists the segments, sorted by name. 0 or -errno. The descriptor's position does not change. */
int spool_list(int directory_fd, struct spool_listing *ret_listing);
/* Whether a directory is a spool, be it empty: 1, 0 or -errno. */
int spool_is_spool(int directory_fd);
/*
 * Opens a segment for reading and decodes its header. 0 with a descriptor that the caller owns; -EBADMSG,
 * -EPROTONOSUPPORT as spool_header_decode(); -ENOENT and others. ret_size (may be NULL) is the file's size.
 */
int spool_segment_open(int directory_fd, const char *name, struct spool_header *ret_header,
		       uint64_t *ret_size, int *ret_fd);

/*
 * Gives a file another name, never over one that exists. 0, -EEXIST or another -errno. Only with the lock
 * held: some file systems need a look before.
 */
int spool_rename(int directory_fd, const char *from, const char *to);

/*
 * Takes the lock that every writer needs (a record lock on the file "lock", fcntl(2) F_OFD_SETLK). 0 with the
 * descriptor that holds it; -EWOULDBLOCK when another process does; another -errno.
 */
int spool_lock(int directory_fd, int *ret_fd);
/* Whether a process holds the lock, as far as this one may know; does not take it. */
bool spool_is_locked(int directory_fd);
