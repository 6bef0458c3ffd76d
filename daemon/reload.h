/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reloading the configuration. */

struct config_error;
struct daemon;

/* error: NULL on success; else what is wrong with the file, owned by the caller of this function. */
typedef void (*reload_done)(const struct config_error *error, void *userdata);

/* Reads the configuration and applies it. done is called once, perhaps before this returns. */
void reload(struct daemon *daemon, reload_done done, void *userdata);
