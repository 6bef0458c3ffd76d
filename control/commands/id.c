/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl id: private log IDs. They are secrets, so only public ones are printed. */

#include "control/commands/commands.h"

#include "common/log_id.h"

#include <errno.h>

static int print_public(struct ctl *ctl, struct log_id *private_id)
{
	char text[LOG_ID_TEXT_MAX];
	struct log_id public_id;

	log_id_public(private_id, &public_id);
	log_id_wipe(private_id);
	log_id_format(&public_id, text);
	if (ctl->json)
		fprintf(ctl->out, "{\"publicId\":\"%s\"}\n", text);
	else
		fprintf(ctl->out, "%s\n", text);
	return CTL_OK;
}

int cmd_id_new(struct ctl *ctl, int argc, char **argv)
{
	struct log_id private_id;
	char **arguments;
	int r = ctl_options(ctl, argc, argv, NULL, 0, 1, 1, &arguments);

	if (r != CTL_OK)
		return r;
	r = log_id_create_file(arguments[0], &private_id);
	if (r == -EEXIST)
		return ctl_error(ctl, "%s already exists; an ID is never overwritten", arguments[0]);
	if (r < 0)
		return ctl_error(ctl, "%s: %s", arguments[0], strerror(-r));
	return print_public(ctl, &private_id);
}

int cmd_id_public(struct ctl *ctl, int argc, char **argv)
{
	struct log_id private_id;
	char **arguments;
	int r = ctl_options(ctl, argc, argv, NULL, 0, 1, 1, &arguments);

	if (r == CTL_OK)
		r = ctl_read_log_id(ctl, arguments[0], &private_id);
	return r == CTL_OK ? print_public(ctl, &private_id) : r;
}
