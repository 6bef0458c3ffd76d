/* SPDX-License-Identifier: BSD-3-Clause */
/* The note is a small JSON object, so that a person can read what the daemon could not report. */

#include "daemon/spool/loss.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#define NOTE	     "lost"
#define NOTE_VERSION 1
#define NOTE_MAX     4096

void spool_loss_add(struct spool_loss *sum, const struct spool_loss *more)
{
	if (more->messages == 0)
		return;
	if (sum->messages == 0) {
		*sum = *more;
		return;
	}
	sum->messages += more->messages;
	sum->bytes += more->bytes;
	sum->from = MIN(sum->from, more->from);
	sum->to = MAX(sum->to, more->to);
}

int spool_loss_note_write(const char *state_directory, const struct spool_loss *loss)
{
	_cleanup_close_ int directory = open_directory(state_directory);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	json_t *note;
	int r;

	if (directory < 0)
		return directory;
	note = json_pack("{si sI sI sI sI}", "version", NOTE_VERSION, "messages", (json_int_t)loss->messages,
			 "bytes", (json_int_t)loss->bytes, "from", (json_int_t)loss->from, "to",
			 (json_int_t)loss->to);
	text = note ? json_dumps(note, JSON_COMPACT) : NULL;
	json_decref(note);
	if (!text)
		return -ENOMEM;
	r = file_write_atomic(directory, NOTE, text, strlen(text), 0600);
	if (r < 0)
		return r;
	fd = openat(directory, NOTE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0)
		(void)owner_give(fd, directory);
	return 0;
}

int spool_loss_note_read(const char *state_directory, struct spool_loss *ret_loss)
{
	_cleanup_close_ int directory = open_directory(state_directory);
	_cleanup_free_ char *text = NULL;
	json_int_t messages, bytes, from, to;
	size_t n;
	json_t *note;
	int version, r;

	if (directory < 0)
		return directory;
	r = file_read(directory, NOTE, NOTE_MAX, &text, &n, NULL);
	if (r < 0)
		return r;
	note = json_loadb(text, n, 0, NULL);
	r = json_unpack(note, "{si sI sI sI sI}", "version", &version, "messages", &messages, "bytes", &bytes,
			"from", &from, "to", &to);
	json_decref(note);
	if (r < 0 || version != NOTE_VERSION || messages <= 0 || bytes < 0 || from > to)
		return -EBADMSG;
	*ret_loss = (struct spool_loss){(uint64_t)messages, (uint64_t)bytes, from, to};
	return 0;
}

void spool_loss_note_remove(const char *state_directory)
{
	_cleanup_close_ int directory = open_directory(state_directory);

	if (directory >= 0)
		unlinkat(directory, NOTE, 0);
}
