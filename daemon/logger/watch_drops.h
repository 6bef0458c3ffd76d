/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The tunnel's packets that the kernel throws away (daemon/device/drops.h): counted while the tun device
 * counts an interface, if the configuration wants it. That they cannot be counted stops nothing; status says
 * why.
 */

#include <jansson.h>

struct flows;
struct logger;

/* The logger has begun, or has a new configuration. */
void watch_drops_begin(struct logger *logger);
/* Follows the tun device: to another interface, or to none. */
void watch_drops_follow(struct logger *logger);
/* What was counted until the last flip of the epoch: appends flows with only details. */
void watch_drops_gather(struct logger *logger, struct flows *flows);
/* Counts no more; gather once after that. */
void watch_drops_end(struct logger *logger);
void watch_drops_deinit(struct logger *logger);

/* DropsStatus of org.netlogd.control; a new reference. */
json_t *watch_drops_status(const struct logger *logger);
