/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The source `wireguard`, for the sock device. */

#include "daemon/device/device.h"

/* A constructor as in device.h. */
int device_wireguard_new(const struct device_options *options, struct device **ret_device, char **ret_reason);

/*
 * The allowed IPs of a WireGuard interface whose physical traffic another source counts, or none: what
 * get_allowed_ips of the device would append. 0, -ENODEV when this is not a WireGuard interface, or another
 * -errno.
 */
int device_wireguard_get_allowed_ips(const char *interface, struct prefix_list *allowed_ips);
