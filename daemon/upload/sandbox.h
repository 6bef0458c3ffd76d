#pragma once

/*
 * Confinement: what the uploader, which talks to the network and holds the secrets, gives up when it starts.
 * Under systemd the unit says the same once more, from outside.
 */

#include <stdbool.h>
#include <stddef.h>

struct config;

/* Closes all descriptors but standard input, output and error, and these. */
void sandbox_close_descriptors(const int *keep, size_t n);
/*
 * No core dumps, no capabilities, no way to gain any, and as far as the kernel has them, landlock (files) and
 * a filter of system calls. What can't be had is logged, and the rest stands. Before any thread is started;
 * the directories that the configuration names must be there.
 */
void sandbox_enter(const struct config *config);
/* Whether a new configuration needs what the confinement for the old one does not allow. */
bool sandbox_needs_restart(const struct config *old, const struct config *new);

/* The three parts of sandbox_enter() that the kernel may lack. 0 or -errno. */
int sandbox_drop_capabilities(void);
int sandbox_restrict_files(const struct config *config);
int sandbox_filter_calls(void);
