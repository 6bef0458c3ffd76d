/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A WireGuard configuration file, read for its names (conf_names.h) when it has changed. */

#include "daemon/device/peers/names.h"

/* Where wg-quick(8) keeps the configuration of interface IFACE, as IFACE.conf. */
#define WG_NAMES_FOLDER "/etc/wireguard"
/* A larger file is not read: ten thousand peers take 3 MB. */
#define WG_NAMES_FILE_MAX (16 * 1024 * 1024)
/* Stands for one state of a file: equal texts mean that it has not changed. "" equals nothing. */
#define WG_NAMES_TOKEN_MAX 160

/*
 * token: of the reading before; it is replaced by that of this one. 1 with the names in *ret_names; 0: the
 * file is as it was, and has not been opened; -EAGAIN (it was written to meanwhile), -EFBIG, -EINVAL (no
 * regular file), -ENOMEM or what opening and reading say, and the token is "" then.
 */
int wg_names_file_read(const char *path, char token[static WG_NAMES_TOKEN_MAX], struct wg_names *ret_names);
