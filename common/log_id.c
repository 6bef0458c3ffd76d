/* SPDX-License-Identifier: BSD-3-Clause */
/* Log IDs: made, read, written and hashed, and wiped where they are secret. */

#include "common/log_id.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/random.h>

/* A line of 64 digits with its newline, and room for a few stray blanks. */
#define FILE_SIZE_MAX 128

int log_id_generate(struct log_id *ret_private)
{
	struct log_id id;
	ssize_t n;

	do
		n = getrandom(id.bytes, sizeof(id.bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(id.bytes))
		return n < 0 ? -errno : -EIO;
	id.bytes[0] &= 0xf8;
	id.bytes[LOG_ID_SIZE - 1] = (id.bytes[LOG_ID_SIZE - 1] & 0x3f) | 0x40;
	*ret_private = id;
	log_id_wipe(&id);
	return 0;
}

bool log_id_is_private(const struct log_id *id)
{
	return (id->bytes[0] & 0x07) == 0 && (id->bytes[LOG_ID_SIZE - 1] & 0xc0) == 0x40;
}

bool log_id_is_zero(const struct log_id *id)
{
	static const struct log_id zero;

	return memcmp(id, &zero, sizeof(zero)) == 0;
}

void log_id_public(const struct log_id *private_id, struct log_id *ret_public)
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, sizeof(private_id->bytes), private_id->bytes);
	sha256_digest(&hash, sizeof(ret_public->bytes), ret_public->bytes);
	explicit_bzero(&hash, sizeof(hash));
}

void log_id_format(const struct log_id *id, char ret_text[static LOG_ID_TEXT_MAX])
{
	static const char hex[16] = {"0123456789abcdef"};

	for (size_t i = 0; i < LOG_ID_SIZE; i++) {
		ret_text[2 * i] = hex[id->bytes[i] >> 4];
		ret_text[2 * i + 1] = hex[id->bytes[i] & 15];
	}
	ret_text[2 * LOG_ID_SIZE] = '\0';
}

int log_id_parse(const char *text, struct log_id *ret_id)
{
	return parse_hex(text, ret_id->bytes, sizeof(ret_id->bytes));
}

int log_id_read_fd(int fd, struct log_id *ret_private)
{
	_cleanup_free_ char *text = NULL;
	struct log_id id = {};
	size_t size = 0, n;
	mode_t mode = 0;
	bool has_nul;
	int r;

	r = file_read_fd(fd, FILE_SIZE_MAX, &text, &size, &mode);
	if (r == -EFBIG)
		return -EINVAL;
	if (r < 0)
		return r;
	n = strlen(text);
	has_nul = n < size;
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	if (!file_is_private(fd, mode))
		r = -EPERM;
	else if (has_nul || log_id_parse(text, &id) < 0 || !log_id_is_private(&id))
		r = -EINVAL;
	else
		*ret_private = id;
	log_id_wipe(&id);
	explicit_bzero(text, size);
	return r;
}

int log_id_read_file(const char *path, struct log_id *ret_private)
{
	/* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : log_id_read_fd(fd, ret_private);
}

int log_id_create_file_at(int directory_fd, const char *path, struct log_id *ret_private)
{
	char text[LOG_ID_TEXT_MAX];
	struct log_id id;
	int r;

	r = log_id_generate(&id);
	if (r < 0)
		return r;
	log_id_format(&id, text);
	text[LOG_ID_TEXT_MAX - 1] = '\n';
	r = file_create_atomic(directory_fd, path, text, sizeof(text), 0600);
	if (r == 0)
		*ret_private = id;
	explicit_bzero(text, sizeof(text));
	log_id_wipe(&id);
	return r;
}

int log_id_create_file(const char *path, struct log_id *ret_private)
{
	return log_id_create_file_at(AT_FDCWD, path, ret_private);
}

void log_id_wipe(struct log_id *id)
{
	explicit_bzero(id, sizeof(*id));
}
