/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From one answer of tailscaled to the next: what has changed, as lines for the daemon (form.h). No I/O and
 * no clock, so that every case can be tested.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct derp_map;
struct status;

/* Before the first answer. 0 or -ENOMEM. */
int status_new(struct status **ret_status);
void status_free(struct status *status);

/*
 * Takes an answer, which must stay as it is until status_write(). 0; -EBADMSG when it cannot be used, or
 * -ENOMEM: then the answer before counts.
 */
int status_read(struct status *status, const char *text, size_t size);
/* Whether traffic goes by way of a region that the map does not have. */
bool status_needs_regions(const struct status *status, const struct derp_map *derp);
/* The map is another one: all paths are written anew. */
void status_forget_regions(struct status *status);
/*
 * Appends the lines between "begin" and "end", and the latter without its number and braces:
 * "state", "version", "skipped". The first time, all nodes. 0 or -ENOMEM, after which nothing is known to
 * have been written.
 */
int status_write(struct status *status, const struct derp_map *derp, struct buffer *lines);
/* The next status_write() is for somebody who knows nothing. */
void status_forget_all(struct status *status);
/* Whether it will write all nodes. */
bool status_is_whole(const struct status *status);
/* Members for the line "end", each after a comma. */
void status_write_summary(const struct status *status, struct buffer *line);
