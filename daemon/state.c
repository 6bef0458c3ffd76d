/* SPDX-License-Identifier: BSD-3-Clause */
/* What several files ask of the daemon's state. */

#include "daemon/state.h"

#include "common/plain_text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

void daemon_public_id(const struct daemon *daemon, char ret_text[static LOG_ID_TEXT_MAX])
{
	const struct log_id *id =
		daemon->has_log_id ? &daemon->public_id : uploader_link_public_id(daemon->uploader);

	ret_text[0] = '\0';
	if (id)
		log_id_format(id, ret_text);
}

/* What a layer that should count waits for; NULL: it counts, or is not configured. */
static const char *find_wait(const json_t *status, const char *layer, bool *counts)
{
	const json_t *one = json_object_get(status, layer);
	const char *state = json_string_value(json_object_get(one, "state"));
	const char *source = json_string_value(json_object_get(one, "source"));
	const char *reason = json_string_value(json_object_get(one, "reason"));

	if (!state || strcmp(state, "stopped") == 0)
		return NULL;
	if (strcmp(state, "counting") != 0)
		return reason ? reason : state;
	*counts = *counts || (source && strcmp(source, "none") != 0);
	return NULL;
}

/* What the devices do, as one who looks at "systemctl status" wants to know it. */
static void tell_devices(struct daemon *daemon, char *ret_text, size_t max)
{
	json_t *status = daemon->running ? logger_thread_status(daemon->logger) : NULL;
	bool counts = false, both, is_running = json_is_true(json_object_get(status, "running"));
	const char *tun = find_wait(status, "tun", &counts), *sock = find_wait(status, "sock", &counts);

	both = tun && sock && strcmp(tun, sock) == 0;
	if (!daemon->running)
		snprintf(ret_text, max, "Stopped");
	else if (!is_running)
		snprintf(ret_text, max, "Starting");
	else if (both)
		snprintf(ret_text, max, "Not counting: %s", tun);
	else if (tun || sock)
		snprintf(ret_text, max, "%s: %s%s%s%s%s", counts ? "Counting in part" : "Not counting",
			 tun ? "tun: " : "", tun ? tun : "", tun && sock ? "; " : "", sock ? "sock: " : "",
			 sock ? sock : "");
	else
		snprintf(ret_text, max, counts ? "Counting" : "Not counting: no device configured");
	json_decref(status);
}

/* Only changes: sd_notify() blocks when the service manager does not read. */
void daemon_notify_status(struct daemon *daemon)
{
	char text[sizeof(daemon->notified)] = "STATUS=", devices[400];
	size_t n = strlen(text);

	if (!daemon->ready)
		return;
	tell_devices(daemon, devices, sizeof(devices));
	snprintf(text + n, sizeof(text) - n, "%s, %s", devices,
		 uploader_link_is_connected(daemon->uploader) ? "uploader connected" : "no uploader");
	/* A line break would begin another assignment. */
	plain_text_clean(text);
	if (strcmp(text, daemon->notified) == 0)
		return;
	memcpy(daemon->notified, text, sizeof(text));
	sd_notify(0, text);
}
