#pragma once

/*
 * Confinement: what the uploader, which talks to the network and holds the secrets, gives up when it starts.
 */

#include <stdbool.h>

struct config;

struct sandbox_options {
	const struct config *config;
	bool is_child; /* started by the collector: nobody else confines it */
};

/*
 * No core dumps, no descriptors but the wanted ones, no capabilities, no way to gain any, and as far as the
 * kernel has them, landlock and a filter of system calls. What can't be had is logged, and the rest stands.
 * Before any thread is started.
 */
void sandbox_enter(const struct sandbox_options *options);
/* Whether a new configuration needs files that the confinement for the old one does not allow. */
bool sandbox_needs_restart(const struct config *old, const struct config *new);
