/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl tail: messages as they are logged, once they are safe in the spool. */

#include "control/commands/commands.h"

#include "control/daemon_call.h"
#include "control/message_table.h"

struct tail {
	struct ctl *ctl;
	struct message_style style;
	int status;
};

static bool on_message(json_t *parameters, void *userdata)
{
	struct tail *tail = userdata;
	_cleanup_free_ char *line = json_dumps(json_object_get(parameters, "message"), JSON_COMPACT);

	if (!line)
		tail->status = ctl_error(tail->ctl, "the daemon sent no message");
	else if (message_print(tail->ctl, line, strlen(line), &tail->style) != CTL_OK)
		tail->status = CTL_FAILED;
	/* A reader wants each message at once; if it has gone, the stream can end. */
	return fflush(tail->ctl->out) == 0;
}

int cmd_tail(struct ctl *ctl, int argc, char **argv)
{
	struct tail tail = {.ctl = ctl};
	const struct ctl_option options[] = {{.name = "resolve", .flag = &tail.style.resolve},
					     {.name = "details", .flag = &tail.style.details}};
	int r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);

	if (r != CTL_OK)
		return r;
	r = ctl_stream(ctl, "Tail", -1, on_message, &tail);
	return r != CTL_OK ? r : tail.status;
}
