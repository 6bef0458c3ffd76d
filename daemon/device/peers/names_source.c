/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Below /etc/wireguard only root may look. A daemon that is not root asks the broker, over a connection that
 * stays open, with the token of the last answer: as long as the file is the same, one line goes each way.
 */

#include "daemon/device/peers/names_source.h"

#include "common/owner.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "common/unix_socket.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BROKER_TIMEOUT (1000 * NSEC_PER_MSEC)
/* After it did not answer in time. */
#define BROKER_PAUSE (30 * NSEC_PER_SEC)

struct wg_names_source {
	char interface[IFNAMSIZ];
	char *path;
	bool path_given; /* by the operator, so that it should be there */
	char *folder;	 /* of that path */
	char *broker;	 /* NULL: not asked */
	int broker_fd;
	dev_t folder_device; /* which folder it was when the broker was connected to */
	ino_t folder_inode;
	int64_t not_before; /* when the broker is asked again (boot time) */
	bool brokered;	    /* the last answer was its */
	char token[WG_NAMES_TOKEN_MAX];
	struct wg_names names;
	int error; /* of the last look */
	char *problem;
};

void wg_names_source_free(struct wg_names_source *source)
{
	if (!source)
		return;
	safe_close(source->broker_fd);
	wg_names_deinit(&source->names);
	free(source->path);
	free(source->folder);
	free(source->broker);
	free(source->problem);
	free(source);
}

int wg_names_source_new(const struct wg_names_options *options, struct wg_names_source **ret_source)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	source->broker_fd = -1;
	if (!wg_broker_is_interface(options->interface))
		return -EINVAL;
	memcpy(source->interface, options->interface, strlen(options->interface) + 1);
	r = text_copy(options->folder ? options->folder : WG_NAMES_FOLDER, &source->folder);
	source->path_given = options->file;
	if (r == 0 && options->file)
		r = text_copy(options->file, &source->path);
	else if (r == 0)
		r = asprintf(&source->path, "%s/%s.conf", source->folder, source->interface) < 0 ? -ENOMEM
												 : 0;
	if (r < 0) {
		source->path = NULL;
		return r;
	}
	if (!options->file && text_copy(options->broker, &source->broker) < 0)
		return -ENOMEM;
	*ret_source = TAKE_PTR(source);
	return 0;
}

const struct wg_names *wg_names_source_names(const struct wg_names_source *source)
{
	return &source->names;
}

const char *wg_names_source_problem(const struct wg_names_source *source)
{
	return source->problem;
}

/* --- the broker's answer --- */

static int take_line(struct wg_names_answer *answer, struct wg_names *names)
{
	char *key = answer->line, *value = strchr(key, '=');
	uint64_t number;

	if (!*key) {
		answer->done = true;
		return 0;
	}
	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	if (strcmp(key, "errno") == 0) {
		if (parse_u64(value, &number) < 0 || number > INT16_MAX)
			return -EBADMSG;
		answer->error = (int)number;
	} else if (strcmp(key, "token") == 0) {
		if (strlen(value) >= WG_NAMES_TOKEN_MAX)
			return -EBADMSG;
		memcpy(answer->token, value, strlen(value) + 1);
	} else if (strcmp(key, "unchanged") == 0) {
		answer->unchanged = true;
	} else if (strcmp(key, "cut") == 0) {
		names->cut = true;
	} else if (strcmp(key, "public_key") == 0) {
		answer->has_key = parse_hex(value, answer->public_key, sizeof(answer->public_key)) == 0;
		return answer->has_key ? 0 : -EBADMSG;
	} else if (strcmp(key, "name") == 0) {
		if (!answer->has_key)
			return -EBADMSG;
		answer->has_key = false;
		return wg_names_add(names, answer->public_key, value, 0);
	}
	return 0;
}

int wg_names_answer_feed(struct wg_names_answer *answer, const char *data, size_t n, struct wg_names *names)
{
	for (size_t i = 0; i < n; i++) {
		int r;

		if (answer->done || data[i] == '\0')
			return -EBADMSG;
		if (data[i] != '\n') {
			if (answer->length == sizeof(answer->line) - 1)
				return -EBADMSG;
			answer->line[answer->length++] = data[i];
			continue;
		}
		answer->line[answer->length] = '\0';
		answer->length = 0;
		r = take_line(answer, names);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1 with the names, 0: unchanged, or -errno, the broker's too. The token counts only with all the names. */
static int receive(struct wg_names_source *source, int64_t deadline, struct wg_names *names)
{
	char buffer[16 * 1024], token[WG_NAMES_TOKEN_MAX] = "";
	struct wg_names_answer answer = {.token = token};
	int r = 0;

	while (r == 0 && !answer.done) {
		ssize_t n = wg_socket_receive(source->broker_fd, buffer, sizeof(buffer), deadline);

		if (n <= 0)
			return n == 0 ? -ECONNRESET : (int)n;
		r = wg_names_answer_feed(&answer, buffer, (size_t)n, names);
		if (r == 0 && !answer.done && time_now_boot() >= deadline)
			r = -ETIMEDOUT;
	}
	if (r < 0)
		return r;
	if (answer.error)
		return -answer.error;
	memcpy(source->token, token, sizeof(token));
	wg_names_sort(names);
	return !answer.unchanged;
}

/* The broker sees the folder that was there when it was started: a new one is for another broker. */
static void follow_folder(struct wg_names_source *source)
{
	struct stat st = {};

	(void)stat(source->folder, &st);
	if (st.st_dev != source->folder_device || st.st_ino != source->folder_inode)
		source->broker_fd = safe_close(source->broker_fd);
	source->folder_device = st.st_dev;
	source->folder_inode = st.st_ino;
}

static int ask_broker_once(struct wg_names_source *source, struct wg_names *names)
{
	int64_t deadline = time_now_boot() + BROKER_TIMEOUT;
	char request[WG_BROKER_REQUEST_MAX];
	int r = 0;

	if (source->broker_fd < 0)
		r = unix_socket_connect(source->broker, BROKER_TIMEOUT, &source->broker_fd);
	/* No broker: that the file may not be read stands. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return -EACCES;
	if (r < 0)
		return r;
	wg_broker_request_names(source->interface, source->token, request);
	r = wg_socket_send(source->broker_fd, request, strlen(request), deadline);
	return r < 0 ? r : receive(source, deadline, names);
}

static bool has_closed(int error)
{
	return error == -ECONNRESET || error == -EPIPE;
}

static int ask_broker(struct wg_names_source *source, struct wg_names *names)
{
	bool kept;
	int r;

	follow_folder(source);
	kept = source->broker_fd >= 0;
	r = ask_broker_once(source, names);
	/* A connection from before may have been closed since. */
	if (kept && has_closed(r)) {
		source->broker_fd = safe_close(source->broker_fd);
		wg_names_deinit(names);
		r = ask_broker_once(source, names);
	}
	/* What comes late must not be taken for the next answer. */
	if (r == -ETIMEDOUT || r == -EBADMSG || has_closed(r)) {
		source->broker_fd = safe_close(source->broker_fd);
		source->not_before = time_now_boot() + BROKER_PAUSE;
	}
	return r;
}

/* --- following --- */

static void explain(struct wg_names_source *source, int error)
{
	_cleanup_free_ char *why = NULL;
	const char *text;

	free(TAKE_PTR(source->problem));
	if (error == 0 && source->names.cut)
		text = "has more names than have room; the rest is left out";
	else if (error == 0)
		return;
	else if (error == -EFBIG)
		text = "larger than 16 MiB: not read";
	else if (error == -EINVAL)
		text = "not a regular file";
	else if (error == -EACCES && source->broker)
		text = "may be read by root only, and netlogd-wg-broker.socket does not answer";
	else if (error == -EAGAIN)
		text = "is written to while it is read";
	else if (error == -ETIMEDOUT)
		text = "netlogd-wg-broker does not answer";
	else
		text = why = owner_error_text(source->path, error);
	if (asprintf(&source->problem, "%s: %s", source->path, text ? text : strerror(-error)) < 0)
		source->problem = NULL;
}

bool wg_names_source_follow(struct wg_names_source *source)
{
	_cleanup_wg_names_ struct wg_names names = {};
	bool changed = false, gone, was_cut = source->names.cut;
	int r = -EACCES;

	if (!source->brokered)
		r = wg_names_file_read(source->path, source->token, &names);
	if ((r == -EACCES || r == -EPERM) && source->broker) {
		if (time_now_boot() < source->not_before)
			return false;
		r = ask_broker(source, &names);
		/* Only an answer says that it is the broker's business. */
		source->brokered = r != -EACCES;
	}
	/* The file is gone, and the names with it. */
	gone = r == -ENOENT;
	if (gone) {
		*source->token = '\0';
		r = 1;
	}
	if (r == 1) {
		changed = !wg_names_equal(&names, &source->names);
		wg_names_deinit(&source->names);
		source->names = names;
		names = (struct wg_names){};
	}
	r = gone && source->path_given ? -ENOENT : MIN(r, 0);
	if (r != source->error || was_cut != source->names.cut)
		explain(source, r);
	source->error = r;
	return changed;
}
