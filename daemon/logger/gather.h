/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* From the devices to the aggregate: the counts of a window, or of a part of it. */

struct logger;

/*
 * Takes what both devices have counted, classifies it by the current routes, and adds it to the window's
 * aggregate. May be called several times in a window: before a change of the routes, or when a device runs
 * full. Nothing while the logger is stopped.
 */
void gather_counts(struct logger *logger);
/* Reads the routes that the machine has now, as far as the configuration asks for that. */
void gather_routes(struct logger *logger);
