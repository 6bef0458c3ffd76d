/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the daemon's parts take from the configuration, at the start and again at every reload. */

#include "daemon/spool/writer.h"

#include <stdbool.h>
#include <sys/types.h>

struct config;
struct config_error;
struct daemon;
struct nodes;
struct operators;

/*
 * Looks up the operators' names, of which the file's key `operators` has a list (NULL: none). An unknown user
 * is logged and left out. One for whom no answer could be had is left out too, and is an error: -EINVAL or
 * -ENOMEM, with what is wrong in *ret_error; the other operators are in *ret_operators all the same. Any
 * thread; may take long.
 */
int settings_find_operators(const char *file, char *const *names, struct operators *ret_operators,
			    struct config_error *ret_error);
/* Root, the daemon's own user, and the operators. */
bool settings_is_operator(const struct daemon *daemon, uid_t uid);

/* Names of the sinks: NULL-terminated, borrowed texts in a list to be freed with free(). NULL without memory.
 */
char **settings_sink_names(const struct config *config);
/* The spool's settings, borrowed from the configuration and the names. */
void settings_for_spool(const struct daemon *daemon, const struct config *config, char **sinks,
			struct spool_writer_options *ret_options);

/* The nodes of nodes-file; NULL without one. 0, or -errno with what is wrong in *ret_error. Any thread; may
 * take long. */
int settings_load_nodes(const struct config *config, struct nodes **ret_nodes,
			struct config_error *ret_error);
