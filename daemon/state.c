/* SPDX-License-Identifier: BSD-3-Clause */
/* What several files ask of the daemon's state. */

#include "daemon/state.h"

#include <systemd/sd-daemon.h>

void daemon_public_id(const struct daemon *daemon, char ret_text[static LOG_ID_TEXT_MAX])
{
	const struct log_id *id =
		daemon->has_log_id ? &daemon->public_id : uploader_link_public_id(daemon->uploader);

	ret_text[0] = '\0';
	if (id)
		log_id_format(id, ret_text);
}

/* Only changes: sd_notify() blocks when the service manager does not read. */
void daemon_notify_status(struct daemon *daemon)
{
	static const char *const texts[2][2] = {
		{"STATUS=Stopped, no uploader", "STATUS=Stopped, uploader connected"},
		{"STATUS=Counting, no uploader", "STATUS=Counting, uploader connected"},
	};
	const char *text = texts[daemon->running][uploader_link_is_connected(daemon->uploader)];

	if (text == daemon->notified)
		return;
	daemon->notified = text;
	sd_notify(0, text);
}
