/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl id: private log IDs. The private one is never printed: it is a secret. */

#include "control/commands.h"

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

int log_id_file_error(struct ctl *ctl, const char *file, int error)
{
	if (error == -EINVAL)
		return ctl_error(ctl, "%s does not hold a private log ID (64 hex digits)", file);
	if (error == -EPERM)
		return ctl_error(ctl, "%s can be read by others: it holds a secret, so \"chmod 600 %s\"",
				 file, file);
	return ctl_error(ctl, "%s: %s", file, strerror(-error));
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
		return ctl_error(ctl, "%s is there already; an ID is never written over", arguments[0]);
	if (r < 0)
		return ctl_error(ctl, "%s: %s", arguments[0], strerror(-r));
	return print_public(ctl, &private_id);
}

int cmd_id_public(struct ctl *ctl, int argc, char **argv)
{
	struct log_id private_id;
	char **arguments;
	int r = ctl_options(ctl, argc, argv, NULL, 0, 1, 1, &arguments);

	if (r != CTL_OK)
		return r;
	r = log_id_read_file(arguments[0], &private_id);
	return r < 0 ? log_id_file_error(ctl, arguments[0], r) : print_public(ctl, &private_id);
}
