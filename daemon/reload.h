/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reloading the configuration. */

struct config_error;
struct daemon;

/*
 * 0; -EINVAL: what is wrong with the file is in *error, valid until this returns; -ECANCELED: the daemon
 * stops, and nothing has changed.
 */
typedef void (*reload_done)(int result, const struct config_error *error, void *userdata);

/* Reads the configuration and applies it. done is called once, perhaps before this returns. */
void reload(struct daemon *daemon, reload_done done, void *userdata);
