/* SPDX-License-Identifier: BSD-3-Clause */
/* The spool is plain files: whoever may read them can look back without asking a daemon. */

#include "control/spool_source.h"

#include "common/config/config.h"
#include "common/spool/reader.h"
#include "control/ctl.h"
#include "control/varlink/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DEFAULT_SPOOL "/var/lib/netlogd/spool"
/* A daemon that does not answer at once need not be waited for: the configuration knows, too. */
#define STATUS_TIMEOUT_MS 2000

/* The directory that a daemon tells; NULL if none answers. */
static char *ask_daemon(struct ctl *ctl)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	_cleanup_free_ char *error = NULL;
	const char *directory;
	json_t *reply = NULL;
	char *path = NULL;

	if (varlink_client_connect(ctl->socket, STATUS_TIMEOUT_MS, &client) < 0 ||
	    varlink_client_call(client, "org.netlogd.control.Status", NULL, STATUS_TIMEOUT_MS, &reply,
				&error) < 0)
		return NULL;
	directory = json_text(json_object_get(json_object_get(reply, "status"), "spool"), "directory");
	if (!error && *directory)
		path = strdup(directory);
	json_decref(reply);
	return path;
}

/* The directory of the configuration. CTL_OK also when there is no configuration: the default. */
static int ask_configuration(struct ctl *ctl, char **ret_path)
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_(config_freep) struct config *config = NULL;
	int r = config_load(ctl->config, &config, &error);

	if (r == -ENOENT && !ctl->config_given)
		*ret_path = strdup(DEFAULT_SPOOL);
	else if (r < 0)
		return ctl_error(ctl, "%s:%u: %s", error.file ? error.file : ctl->config, error.line,
				 error.reason ? error.reason : strerror(-r));
	else
		*ret_path = strdup(config->spool_directory);
	return *ret_path ? CTL_OK : ctl_error(ctl, "out of memory");
}

static int find_path(struct ctl *ctl, const char *given, char **ret_path)
{
	bool ask = !ctl->config_given || ctl->socket_given;

	*ret_path = NULL;
	if (given)
		*ret_path = strdup(given);
	else if (ask)
		*ret_path = ask_daemon(ctl);
	if (*ret_path)
		return CTL_OK;
	if (ctl->socket_given)
		ctl_note(ctl, "no daemon answers at %s; looking where the configuration says", ctl->socket);
	return ask_configuration(ctl, ret_path);
}

int spool_source_open(struct ctl *ctl, const char *given, char **ret_path, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	int r, fd;

	r = find_path(ctl, given, &path);
	if (r != CTL_OK)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ctl_error(ctl, "spool %s: %s (another one: --spool DIR)", path, strerror(errno));
	*ret_path = TAKE_PTR(path);
	*ret_fd = fd;
	return CTL_OK;
}

static int read_error(struct ctl *ctl, const char *path, int error)
{
	if (error == -EPROTONOSUPPORT)
		return ctl_error(ctl, "spool %s was written by a newer version of netlogd", path);
	return ctl_error(ctl, "spool %s: %s", path, strerror(-error));
}

int spool_source_read(struct ctl *ctl, const char *path, int directory_fd, int64_t since,
		      bool (*message)(const struct spool_message *message, void *userdata), void *userdata)
{
	struct spool_reader *reader;
	bool go_on = true;
	int r;

	r = spool_reader_new(directory_fd, &reader);
	if (r < 0)
		return read_error(ctl, path, r);
	r = spool_reader_seek(reader, 0);
	while (r >= 0 && go_on) {
		struct spool_message spooled;
		struct spool_gap gap;

		r = spool_reader_next(reader, &spooled, &gap);
		if (r == SPOOL_READ_END)
			break;
		if (r == SPOOL_READ_GAP)
			ctl_note(ctl, "%llu messages are missing here%s", (unsigned long long)gap.messages,
				 gap.damaged ? " (damaged)" : "");
		if (r == SPOOL_READ_MESSAGE && spooled.time >= since)
			go_on = message(&spooled, userdata);
	}
	spool_reader_free(reader);
	return r < 0 ? read_error(ctl, path, r) : CTL_OK;
}
