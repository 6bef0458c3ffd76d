/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* From the devices to the aggregate: the counts of a window, or of a part of it. */

struct logger;

/*
 * Takes what both devices have counted, classifies it by the current routes, and adds it to the window's
 * aggregate: at the window's end, and before Reconfig changes the routes. Nothing while the logger is
 * stopped.
 */
void gather_counts(struct logger *logger);
/*
 * The same in the middle of a window, when a device runs full: what was counted is classified
 * by the next gather_counts(), since routes that are found later in the window hold for it too.
 */
void gather_early(struct logger *logger);
/* The same as gather_early(), when devices are about to be replaced: with it, they end and the next ones
 * begin. */
void gather_last_counts(struct logger *logger);
/* Follows the routes that the machine has now, as far as the configuration asks for that. */
void gather_routes(struct logger *logger);
/* Takes the kernel's notifications of routes, so that they do not become too many to keep. */
void gather_listen(struct logger *logger);
/* Stops following the machine's routes; those that were found stay. */
void gather_forget_routes(struct logger *logger);
