/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The files of the system that the uploader needs to find a server and to verify it: by their names, since
 * where the names lead differs between systems and changes while the uploader runs.
 */

#include <stdbool.h>
#include <stdint.h>

/* Returns 0 to go on; anything else ends the walk and becomes its result. */
typedef int system_files_fn(const char *path, void *userdata);

/*
 * Calls visit for each of the names, whether or not it exists. With links, also for what stands in the
 * directories of certificates and is a link or a directory itself. 0, or what visit returned.
 */
int system_files_visit(bool links, system_files_fn *visit, void *userdata);

/*
 * A number for what the confinement forbids of them although the file's own rights allow it; 0: nothing.
 * Another number than right after the confinement means that a name leads elsewhere since. What is forbidden
 * by something else (another security module) is so from the start, and no restart would help. *ret_path (may
 * be NULL) is the first such name, or NULL; owned by the caller.
 */
uint64_t system_files_forbidden(bool links, char **ret_path);
