/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The source `wireguard`, for the sock device. */

#include "daemon/device/device.h"

/* A constructor as in device.h. */
int device_wireguard_new(const struct device_options *options, struct device **ret_device, char **ret_reason);

/*
 * Looks whether the WireGuard tunnel of this name has counted nothing so far, or does not exist yet. Without
 * an interface only the socket can tell: a kernel tunnel that is renamed, or moved here, brings its counters
 * along. When in doubt, DEVICE_ORIGIN_UNKNOWN.
 */
enum device_origin device_wireguard_look(const char *interface);

/*
 * The allowed IPs of a WireGuard interface whose physical traffic another source counts, or none: what
 * get_allowed_ips of the device would append. 0, -ENODEV when this is not a WireGuard interface, or another
 * -errno.
 */
int device_wireguard_get_allowed_ips(const char *interface, struct prefix_list *allowed_ips);
