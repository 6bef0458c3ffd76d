/* SPDX-License-Identifier: BSD-3-Clause */
/* The metrics' text file is written off the loop: its disk may be slow, or a network away. */

#include "daemon/textfile.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/worker.h"
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct textfile {
	struct daemon *daemon;
	char *path, *text;
	int result;
};

static void textfile_free(struct textfile *file)
{
	if (!file)
		return;
	free(file->path);
	free(file->text);
	free(file);
}

DEFINE_CLEANUP(struct textfile *, textfile_free);

/* Unsynced: after a power cut nobody needs the old figures. */
static void write_textfile(void *data)
{
	struct textfile *file = data;

	file->result = file_replace(AT_FDCWD, file->path, file->text, strlen(file->text), 0644);
}

static void on_textfile_written(void *data)
{
	_cleanup_(textfile_freep) struct textfile *file = data;
	struct daemon *daemon = file->daemon;

	if (file->result < 0 && file->result != daemon->textfile_error)
		log_warning("%s: cannot write metrics: %s", file->path, strerror(-file->result));
	daemon->textfile_error = file->result;
	daemon->textfile_pending = false;
}

int textfile_write(struct daemon *daemon, char *text)
{
	_cleanup_(textfile_freep) struct textfile *file = calloc(1, sizeof(*file));
	int r;

	if (!file) {
		free(text);
		return -ENOMEM;
	}
	file->daemon = daemon;
	file->text = text;
	file->path = strdup(daemon->config->metrics_textfile);
	if (!file->path)
		return -ENOMEM;
	r = worker_post(daemon->aside, write_textfile, on_textfile_written, file);
	if (r < 0)
		return r;
	daemon->textfile_pending = true;
	TAKE_PTR(file);
	return 0;
}
