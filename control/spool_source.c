/* SPDX-License-Identifier: BSD-3-Clause */
/* The spool is plain files: with permission to read them, no daemon is needed. */

#include "control/spool_source.h"

#include "common/config/load.h"
#include "common/file.h"
#include "common/message.h"
#include "common/plural.h"
#include "common/spool/directory.h"
#include "common/spool/reader.h"
#include "common/time_text.h"
#include "control/ctl.h"
#include "control/node_book.h"
#include "control/units.h"
#include "control/varlink/client.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_SPOOL "/var/lib/netlogd/spool"
/* Short: without an answer the configuration says where the spool is. */
#define STATUS_TIMEOUT_MS 2000

/* The directory that the daemon uses; NULL if none answers. */
static char *ask_daemon(struct ctl *ctl)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	_cleanup_free_ char *error = NULL;
	json_auto_t *reply = NULL;
	const char *directory;

	if (varlink_client_connect(ctl->socket, STATUS_TIMEOUT_MS, &client) < 0 ||
	    varlink_client_call(client, "org.netlogd.control.Status", NULL, STATUS_TIMEOUT_MS, &reply,
				&error) < 0)
		return NULL;
	directory = json_text(json_object_get(json_object_get(reply, "status"), "spool"), "directory");
	return !error && *directory ? strdup(directory) : NULL;
}

/* --spool, else what the daemon says, else the configuration, else (without a configuration) the default. */
static int find_path(struct ctl *ctl, const char *given, char **ret_path)
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_(config_freep) struct config *config = NULL;
	char *path = NULL;
	int r;

	if (given)
		path = strdup(given);
	else if (!ctl->config_given || ctl->socket_given)
		path = ask_daemon(ctl);
	if (path) {
		*ret_path = path;
		return CTL_OK;
	}
	if (ctl->socket_given)
		ctl_note(ctl, "no daemon answers at %s; using the configured spool", ctl->socket);
	r = config_load(ctl->config, &config, &error);
	if (r < 0 && (r != -ENOENT || ctl->config_given))
		return ctl_config_error(ctl, &error, "");
	path = strdup(config ? config->spool_directory : DEFAULT_SPOOL);
	if (!path)
		return ctl_error(ctl, "out of memory");
	*ret_path = path;
	return CTL_OK;
}

int spool_source_open(struct ctl *ctl, const char *given, char **ret_path, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	int r, fd;

	r = find_path(ctl, given, &path);
	if (r != CTL_OK)
		return r;
	fd = open_directory(path);
	if (fd < 0)
		return ctl_error(ctl, "spool %s: %s (use --spool DIR for another one)", path, strerror(-fd));
	r = spool_is_spool(fd);
	if (r <= 0) {
		safe_close(fd);
		if (r < 0)
			return spool_source_error(ctl, path, r);
		return ctl_error(ctl,
				 "%s is not a spool: it holds no segments (use --spool DIR for another one)",
				 path);
	}
	*ret_path = TAKE_PTR(path);
	*ret_fd = fd;
	return CTL_OK;
}

int spool_source_error(struct ctl *ctl, const char *path, int error)
{
	if (error == -EWOULDBLOCK)
		return ctl_error(ctl, "a daemon uses spool %s: stop it first (systemctl stop netlogd)", path);
	if (error == -EPROTONOSUPPORT)
		return ctl_error(ctl, "spool %s was written by a newer version of netlogd", path);
	return ctl_error(ctl, "spool %s: %s", path, strerror(-error));
}

/* What is asked for may begin before the first message that is still there. */
static void note_reach(struct ctl *ctl, const struct spool_message *first, int64_t since)
{
	uint64_t messages = first->position.messages - MIN(first->position.messages, UINT64_C(1));
	uint64_t bytes = first->position.bytes - MIN(first->position.bytes, (uint64_t)first->length);
	char time[TIME_TEXT_MAX], size[UNITS_TEXT_MAX];

	if (since >= first->time || messages == 0)
		return;
	time_format(first->time, time);
	ctl_note(ctl, "the spool reaches back to %s: %llu earlier %s (%s) %s no longer in it", time,
		 (unsigned long long)messages, plural(messages, "message", "messages"),
		 units_bytes(bytes, size), plural(messages, "is", "are"));
}

int spool_source_read(struct ctl *ctl, const char *path, int directory_fd, int64_t since,
		      bool (*message)(const struct spool_message *message, void *userdata), void *userdata)
{
	struct spool_reader *reader;
	bool go_on = true, first = true;
	int r;

	r = spool_reader_new(directory_fd, &reader);
	if (r < 0)
		return spool_source_error(ctl, path, r);
	r = spool_reader_seek(reader, 0);
	while (r >= 0 && go_on) {
		struct spool_message spooled;
		struct spool_gap gap;

		r = spool_reader_next(reader, &spooled, &gap);
		if (r == SPOOL_READ_END)
			break;
		if (r == SPOOL_READ_GAP)
			ctl_note(ctl, "%llu %s missing here%s", (unsigned long long)gap.messages,
				 plural(gap.messages, "message is", "messages are"),
				 gap.damaged ? " (damaged)" : "");
		if (r == SPOOL_READ_MESSAGE && first) {
			note_reach(ctl, &spooled, since);
			first = false;
		}
		if (r == SPOOL_READ_MESSAGE && spooled.time >= since)
			go_on = message(&spooled, userdata);
	}
	spool_reader_free(reader);
	return r < 0 ? spool_source_error(ctl, path, r) : CTL_OK;
}

static int learn_message(struct node_book *book, const struct spool_message *spooled, int64_t since)
{
	struct message message;
	int r;

	/* What cannot be read is told when it is read again. */
	r = message_parse(spooled->data, spooled->length, &message);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (spooled->time < since)
		r = node_book_learn_early(book, &message);
	else
		r = node_book_learn(book, &message);
	message_deinit(&message);
	return r;
}

int spool_source_learn(struct ctl *ctl, const char *path, int directory_fd, int64_t since,
		       struct node_book *book)
{
	struct spool_reader *reader;
	const char *unknown;
	int r;

	r = spool_reader_new(directory_fd, &reader);
	if (r < 0)
		return spool_source_error(ctl, path, r);
	r = spool_reader_seek(reader, 0);
	while (r >= 0) {
		struct spool_message spooled;
		struct spool_gap gap;

		r = spool_reader_next(reader, &spooled, &gap);
		if (r == SPOOL_READ_END)
			break;
		if (r == SPOOL_READ_MESSAGE)
			r = learn_message(book, &spooled, since);
	}
	spool_reader_free(reader);
	if (r < 0)
		return spool_source_error(ctl, path, r);
	node_book_rewind(book);
	unknown = node_book_unknown(book);
	if (unknown)
		return ctl_error(ctl, "no message in %s names a node \"%s\"", path, unknown);
	return CTL_OK;
}
