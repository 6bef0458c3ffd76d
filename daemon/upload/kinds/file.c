/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file sink: messages as lines, for an existing log shipper. A batch counts as delivered when it is
 * written and synced. What a crash or a full disk leaves half written is cut off again, so that every line is
 * whole; after a crash a batch may appear twice, as with every sink.
 *
 * A file of ROTATE_SIZE is renamed to PATH.1, the former PATH.1 to PATH.2, and so on;
 * PATH.8 is the last that is kept. After SIGHUP the file is opened again, for those who rotate by other
 * means.
 */

#include "common/file.h"
#include "common/buffer.h"
#include "common/worker.h"
#include "daemon/upload/broker/broker.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/sink/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Enough for writing lines. */
#define STACK_SIZE  (128 * 1024)
#define ROTATE_SIZE (INT64_C(64) << 20)
/* How far back the end of the last whole line is searched for: the longest message there can be. */
#define TORN_LINE_MAX (INT64_C(9) << 20)

/* What the thread works on. */
struct lines {
	int writer_fd; /* to the process that opens the file; -1: this one does */
	char *path;
	int fd; /* -1: to be opened */
	bool writer_ended;
	bool reopen;
	bool rotating; /* when the last batch failed */
	struct buffer body;
	int result;		/* of the last batch */
	struct file_sink *sink; /* the loop's */
};

struct file_sink {
	const struct sink_context *context;
	struct lines *lines;   /* the thread's while a job is pending */
	struct worker *worker; /* NULL before the first batch */
	bool reopen;	       /* asked for while the thread works */
};

static void lines_free(void *state)
{
	struct lines *lines = state;

	if (!lines)
		return;
	safe_close(lines->fd);
	safe_close(lines->writer_fd);
	buffer_deinit(&lines->body);
	free(lines->path);
	free(lines);
}

/* ---- on the thread ---- */

/* Finds the end of the last whole line: a killed run may have left part of one behind it. */
static int cut_torn_line(int fd, off_t size)
{
	static const char ours[] = "{\"logtail\"";
	char piece[4096];
	off_t at = size;

	while (at > 0 && size - at < TORN_LINE_MAX) {
		size_t n = (size_t)MIN(at, (off_t)sizeof(piece));
		ssize_t got = pread(fd, piece, n, at - (off_t)n);
		const char *newline;

		if (got != (ssize_t)n)
			return got < 0 ? -errno : -EIO;
		newline = memrchr(piece, '\n', n);
		at -= (off_t)n;
		if (newline) {
			at += newline - piece + 1;
			break;
		}
	}
	if (at == size)
		return 0;
	/* Only what is ours is cut; anything else is ended by a newline. */
	if (pread(fd, piece, sizeof(ours) - 1, at) >= 1 &&
	    memcmp(piece, ours, (size_t)MIN(size - at, 10)) == 0)
		return ftruncate(fd, at) < 0 ? -errno : 0;
	return write_all(fd, "\n", 1);
}

static int open_lines(struct lines *lines)
{
	_cleanup_close_ int fd = -1, directory_fd = -1;
	struct stat st;
	int r;

	r = broker_open_lines(lines->writer_fd, lines->path, &fd, &directory_fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	r = cut_torn_line(fd, st.st_size);
	/* A line is delivered when it survives a power cut; so must the name of a new file. */
	if (r == 0 && st.st_size == 0)
		r = fsync(directory_fd) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	lines->fd = TAKE_FD(fd);
	return 0;
}

static int open_again(struct lines *lines, struct stat *ret_st)
{
	int r;

	lines->fd = safe_close(lines->fd);
	r = open_lines(lines);
	if (r < 0)
		return r;
	return fstat(lines->fd, ret_st) < 0 ? -errno : 0;
}

static bool is_full(const struct lines *lines, const struct stat *st)
{
	return st->st_size > 0 && st->st_size + (off_t)lines->body.length > ROTATE_SIZE;
}

static int rotate(struct lines *lines, struct stat *st)
{
	int r;

	/* Another program may have renamed it, or an earlier try: its name is then of another file, or of
	 * none. */
	r = open_again(lines, st);
	if (r < 0 || !is_full(lines, st))
		return r;
	lines->rotating = true;
	r = broker_rotate_lines(lines->writer_fd, lines->path);
	if (r < 0)
		return r;
	lines->rotating = false;
	return open_again(lines, st);
}

static int try_to_write(struct lines *lines)
{
	struct stat st;
	int r = 0;

	if (lines->reopen)
		lines->fd = safe_close(lines->fd);
	lines->reopen = lines->rotating = false;
	if (lines->fd < 0)
		r = open_lines(lines);
	if (r < 0)
		return r;
	if (fstat(lines->fd, &st) < 0)
		return -errno;
	/* Removed meanwhile: what is written there now is lost. */
	if (st.st_nlink == 0)
		r = open_again(lines, &st);
	if (r == 0 && is_full(lines, &st))
		r = rotate(lines, &st);
	if (r < 0)
		return r;
	r = write_all(lines->fd, lines->body.data, lines->body.length);
	if (r == 0 && fdatasync(lines->fd) < 0)
		r = -errno;
	/* Part of it may be in the file: the next try starts where this one did. */
	if (r < 0 && ftruncate(lines->fd, st.st_size) < 0)
		lines->reopen = true;
	return r;
}

static void write_batch(void *data)
{
	struct lines *lines = data;

	lines->result = try_to_write(lines);
	lines->writer_ended = lines->result == -EPIPE;
}

/* ---- on the loop ---- */

static void file_answer(struct file_sink *sink, int result)
{
	struct answer answer = {.verdict = VERDICT_DELIVERED, .retry_after = -1};

	switch (-result) {
	case 0:
		break;
	case EACCES:
	case EPERM:
	case EROFS:
	case EISDIR:
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
	case EBUSY: /* a mount point, such as a file that a container was given: it can't be renamed */
		answer.verdict = VERDICT_MISCONFIGURED;
		break;
	default:
		answer.verdict = VERDICT_RETRY;
	}
	if (result < 0 && sink->lines->rotating)
		snprintf(answer.text, sizeof(answer.text),
			 "%s: at 64 MiB, renaming it and making it anew failed: %s",
			 sink->context->config->path, strerror(-result));
	else if (result < 0)
		snprintf(answer.text, sizeof(answer.text), "%s: %s", sink->context->config->path,
			 result == -EISDIR ? "not a regular file" : strerror(-result));
	sink_answered(sink->context->sink, &answer, sink->lines->body.length);
}

static void on_written(void *data)
{
	const struct lines *lines = data;

	file_answer(lines->sink, lines->result);
}

static int file_new(const struct sink_context *context, void **ret_state)
{
	struct file_sink *sink = calloc(1, sizeof(*sink));
	int r = -ENOMEM;

	if (!sink)
		return -ENOMEM;
	sink->context = context;
	sink->lines = calloc(1, sizeof(*sink->lines));
	if (!sink->lines)
		goto fail;
	sink->lines->fd = sink->lines->writer_fd = -1;
	sink->lines->sink = sink;
	r = context->broker ? broker_open_writer(context->broker) : 0;
	if (r < 0)
		goto fail;
	if (context->broker)
		sink->lines->writer_fd = r;
	r = -ENOMEM;
	sink->lines->path = strdup(context->config->path);
	if (!sink->lines->path)
		goto fail;
	*ret_state = sink;
	return 0;
fail:
	lines_free(sink->lines);
	free(sink);
	return r;
}

static void file_free(void *state)
{
	struct file_sink *sink = state;

	/* Its disk may hang: the thread releases the lines when it can. */
	worker_abandon(sink->worker, lines_free, sink->lines);
	free(sink);
}

static void file_begin(void *state, const struct batch_bounds *bounds)
{
	struct file_sink *sink = state;

	(void)bounds;
	buffer_reset(&sink->lines->body);
}

static int file_add(void *state, const struct batch_item *item)
{
	struct file_sink *sink = state;
	struct buffer *body = &sink->lines->body;
	size_t more = item->message->length + 1 + (item->loss ? item->loss_length + 1 : 0);

	if (item->index > 0 && body->length + more > sink->context->config->max_batch_size)
		return -E2BIG;
	if (item->loss) {
		buffer_append(body, item->loss, item->loss_length);
		buffer_append_char(body, '\n');
	}
	buffer_append(body, item->message->data, item->message->length);
	buffer_append_char(body, '\n');
	if (buffer_error(body) == 0)
		return 0;
	buffer_reset(body);
	return -ENOMEM;
}

static void file_send(void *state, const struct batch_bounds *bounds)
{
	struct file_sink *sink = state;
	struct lines *lines = sink->lines;
	int r = 0;

	(void)bounds;
	lines->reopen |= sink->reopen;
	sink->reopen = false;
	if (lines->writer_ended) {
		/* Another process in place of one that ended, for lack of memory for example. */
		r = broker_open_writer(sink->context->broker);
		if (r >= 0) {
			safe_close(lines->writer_fd);
			lines->writer_fd = r;
			lines->writer_ended = false;
		}
	}
	if (r >= 0 && !sink->worker)
		r = worker_new(sink->context->base, "file", STACK_SIZE, &sink->worker);
	if (r >= 0)
		r = worker_post(sink->worker, write_batch, on_written, lines);
	if (r < 0)
		file_answer(sink, r);
}

static void file_reopen(void *state)
{
	struct file_sink *sink = state;

	sink->reopen = true;
}

const struct sink_ops sink_file_ops = {
	.name = "file",
	.new = file_new,
	.free = file_free,
	.begin = file_begin,
	.add = file_add,
	.send = file_send,
	.reopen = file_reopen,
};
