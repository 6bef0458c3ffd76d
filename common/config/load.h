/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The configuration file: read, checked and turned into one structure. Everything that can be known to be
 * wrong before the daemon acts on it is found here, with file, line and what was expected.
 */

#include "common/config/config.h"
#include "common/config/error.h"

#include <stddef.h>

/*
 * Reads and checks a file. 0; -EINVAL with *ret_error filled in when the content is wrong; another -errno
 * (also with *ret_error) when the file cannot be read. *ret_config is untouched unless 0 is returned.
 */
int config_load(const char *file, struct config **ret_config, struct config_error *ret_error);
/* The same for a text that was read from it; the name is only for messages. */
int config_parse(const char *file, const char *text, size_t size, struct config **ret_config,
		 struct config_error *ret_error);
/*
 * Only the path of the control socket, for who wants no more than to reach the daemon: errors elsewhere in
 * the file do not keep it from being read. 0 with *ret_path, owned by the caller; there is an error elsewhere
 * if ret_error->reason is set. As config_load() when the path cannot be told.
 */
int config_load_control_socket(const char *file, char **ret_path, struct config_error *ret_error);
/* The same for a text. NULL: it cannot be told, or there is no memory. */
char *config_find_control_socket(const char *text, size_t size);
/*
 * Whether the files that it names can be what they are to be, and the group exists, as far as this process
 * can see: what it cannot look at may still be right for another user. 0; -EINVAL or -ENOMEM, with *error
 * (empty before) filled in.
 */
int config_check_files(const struct config *config, struct config_error *error);

/*
 * Whether a device that did not come from the file could stand in its section ("tun" or "sock"). 0; -EINVAL
 * with *ret_reason for people, owned by the caller; -ENOMEM.
 */
int device_config_check(const char *section, const struct device_config *device, char **ret_reason);
