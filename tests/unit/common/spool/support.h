/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Shared by the suites of the spool: a directory of its own for each test, a writer with small limits, and
 * readers that check what they read. */

#include "common/spool/check.h"
#include "common/spool/reader.h"
#include "daemon/spool/files.h"
#include "daemon/spool/writer.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A disk that fails as a test wants it to. Zeros: it never fails, and never really syncs. */
struct spool_test_disk {
	pthread_mutex_t lock;
	bool limited;		    /* room counts */
	int64_t room;		    /* bytes that can still be written; removing and cutting gives back */
	size_t short_writes;	    /* at most so many bytes at a time; 0 any */
	int write_error;	    /* errno of each write */
	int sync_error;		    /* errno of each fdatasync */
	unsigned int sync_failures; /* so many fail, then none */
	int open_error;
	bool no_truncate;
	uint64_t writes, syncs, failed_syncs;
	int64_t now;
};

struct spool_test {
	char directory[SCRATCH_MAX]; /* holds all */
	char *spool, *upload, *machine_id, *boot_id;
	struct spool_writer_options options; /* of that spool; max_size 8 MiB, synced by hand */
	struct spool_writer *writer;
	uint64_t stored;	/* the last sequence that was acknowledged */
	struct spool_loss lost; /* the sum of what was reported */
	unsigned int lost_calls;
	struct spool_test_disk disk;
	struct spool_files files;
};

/* Of the running test: each runs in a process of its own. */
extern struct spool_test spool_test;
/* Runs the tests as one suite, each with a fresh fixture that is removed even when it fails; what main()
 * returns. */
int spool_test_run(const char *name, const TTest *const *tests, size_t n);

/* Opens the writer, or ends it. */
void spool_test_open(void);
void spool_test_close(void);
/* Appends message number i, whose text has its number, of a given length (at least 32); its time is
 * i seconds. */
void spool_test_append(uint64_t i, size_t length);
/* Syncs, and asserts that it succeeds. */
void spool_test_sync(void);
struct spool_status spool_test_status(void);

/* Calls that fail as this disk says. */
void spool_test_make_disk(struct spool_test_disk *disk, struct spool_files *ret_files);
/* Changes the disk while the writer works on it. */
void spool_test_disk_lock(void);
void spool_test_disk_unlock(void);
/* Waits until the writer's error is this one (10 s at most; asserts). */
void spool_test_await_error(int error);

/* The text of message number i. Owned by the caller. */
char *spool_test_message(uint64_t i, size_t length);
/* The same, written to a buffer of length + 1 bytes, with no assertion: for child processes, which must not
 * disturb the test's own reports. */
void spool_test_text(uint64_t i, size_t length, char *ret_text);
/* Which one it is; asserts that it is as it was made. */
uint64_t spool_test_number(const struct spool_message *message);
struct spool_reader *spool_test_reader(const char *path);
/* Reads one message and asserts its number. */
void spool_test_expect(struct spool_reader *reader, uint64_t number);
void spool_test_expect_end(struct spool_reader *reader);
/* Asserts that the spool holds exactly these numbers in order, without a gap. */
void spool_test_holds(uint64_t first, uint64_t last);
/* Writes a sink's cursor. */
void spool_test_cursor(const char *sink, const struct spool_position *position);
/* Two sinks, "a" and "b", for the options. */
extern char *const spool_test_sinks[];
/* Prunes, appends one small message, and asserts that so many segments are left. */
void spool_test_prune_to(size_t n);
/* What du says of the spool: blocks of everything in it. */
uint64_t spool_test_du(void);
/* The position after the newest message whose number is this one. */
struct spool_position spool_test_position(uint64_t number);
/* How many segments are there, and the name of one of them (owned by the caller). */
size_t spool_test_segments(void);
char *spool_test_segment(size_t i);
/* "<directory>/<name>", owned by the caller. */
char *path_join(const char *parent, const char *name);
/* Writes a small text file. */
void text_write(const char *path, const char *text);
/* Whole files as bytes. */
uint8_t *bytes_read(const char *path, size_t *ret_size);
void bytes_write(const char *path, const void *data, size_t n);

/* Makes a spool of one run with n messages of 40, 41, ... bytes, and closes it. The path of its only segment,
 * and its bytes, all owned by the caller. */
char *spool_test_make(uint64_t n, uint8_t **ret_data, size_t *ret_size);
/* Makes one of ten messages of which three are damaged: 42, 43 and 46 bytes, in two places. */
void spool_test_damage(void);
/* Removes all segments but the one with this path. */
void spool_test_keep(const char *path);

/* What a reader got. */
struct spool_seen {
	uint64_t messages, last, missing, missing_bytes;
	bool damaged;
};

/* Reads all, asserting that messages are as they were made and ascend. */
struct spool_seen spool_test_read(void);
struct spool_report spool_test_check(void);
struct spool_report spool_test_repair(void);
