/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The writer's settings: as they are passed in, and as a copy that outlives what it was made of. */

#include "common/config/config.h"

#include <stdint.h>
#include <sys/types.h>

struct spool_files;

/* All that it points to is borrowed. */
struct spool_writer_options {
	const char *directory;
	uint64_t max_size;
	enum spool_sync sync;
	int64_t sync_interval;	      /* ns */
	int64_t retain;		      /* ns that delivered messages are kept */
	const char *upload_directory; /* where each sink's cursor is: <upload>/<sink>/ */
	char *const *sinks;	      /* names, NULL-terminated or NULL */
	uint64_t memory_max;	      /* bytes that wait while writes fail; 0: 16 MiB */
	mode_t file_mode;	      /* 0600 by hand, 0640 with a shared group */

	/* For tests to change; zeros: the defaults. */
	uint64_t segment_size;		 /* 16 MiB; never more than an eighth of what the cap leaves */
	uint64_t sync_bytes;		 /* 4 MiB: unsynced at most */
	int64_t retry_interval;		 /* 1 s: between tries while writes fail, ns */
	const char *machine_id_file;	 /* /etc/machine-id */
	const char *boot_id_file;	 /* /proc/sys/kernel/random/boot_id */
	const struct spool_files *files; /* the system's calls */
};

/*
 * A copy with the defaults filled in, in one allocation with all texts that it points to: free() releases it.
 * The table of file calls is not copied. 0 or -ENOMEM.
 */
int spool_options_copy(const struct spool_writer_options *options, struct spool_writer_options **ret_copy);

/* Bytes of the cap that are held in reserve for the state of sinks. */
uint64_t spool_options_reserve(const struct spool_writer_options *options);
/* Bytes that the cap leaves for segments and what is kept of damage. */
uint64_t spool_options_usable(const struct spool_writer_options *options);
