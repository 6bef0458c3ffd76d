/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Log IDs: 32 bytes. The private one is the secret needed to write a log; the lowest three bits of its first
 * byte and the highest of its last are clear, the second highest of its last is set. The public one is the
 * SHA-256 of the private one's raw bytes. Text is lower-case hex.
 */

#include <stdbool.h>
#include <stdint.h>

#define LOG_ID_SIZE	32
#define LOG_ID_TEXT_MAX 65 /* with the final NUL */

struct log_id {
	uint8_t bytes[LOG_ID_SIZE];
};

/* A new private ID from the kernel's random source; 0 or -errno. */
int log_id_generate(struct log_id *ret_private);
/* Whether the fixed bits are right. */
bool log_id_is_private(const struct log_id *id);
bool log_id_is_zero(const struct log_id *id);
void log_id_public(const struct log_id *private_id, struct log_id *ret_public);
void log_id_format(const struct log_id *id, char ret_text[static LOG_ID_TEXT_MAX]);
/* 64 hex digits of either case, nothing else; 0 or -EINVAL. Does not check the fixed bits. */
int log_id_parse(const char *text, struct log_id *ret_id);
/*
 * Reads a private ID from a file of one line. -ENOENT without the file, -EINVAL if it does not hold a private
 * ID, -EPERM if others than the owner may read it (file_is_private()).
 */
int log_id_read_file(const char *path, struct log_id *ret_private);
/* The same from an open file. */
int log_id_read_fd(int fd, struct log_id *ret_private);
/* Makes a new private ID and its file (mode 0600, atomically, synced); -EEXIST if the file exists. */
int log_id_create_file(const char *path, struct log_id *ret_private);
int log_id_create_file_at(int directory_fd, const char *path, struct log_id *ret_private);
/* Overwrites it in a way that the compiler keeps. */
void log_id_wipe(struct log_id *id);
