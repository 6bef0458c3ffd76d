/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* netlogd --check-config: what a start would find wrong, without one. */

struct config;

/*
 * Checks the files that a valid configuration names, with the rights of those who will open them: of this
 * user (--as); or, for root and a configuration that an installed unit runs with, of that unit's users; or
 * of the caller. Logs what is wrong. 0, or an exit status.
 */
int check_files(const struct config *config, const char *as);
