/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The source `tailscale`, for the sock device. */

#include "daemon/device/device.h"

/*
 * A constructor as in device.h. -ENODEV: nobody listens on the API's socket yet; -EPERM: it may be anybody's.
 */
int device_tailscale_new(const struct device_options *options, struct device **ret_device, char **ret_reason);

/* Whether somebody serves the API, while its tunnel is not counted: DEVICE_ORIGIN_NO_SOCKET, or _UNKNOWN. */
enum device_origin device_tailscale_look(const char *socket);

/* Tailscale's interface, unless tailscaled was told another name (--tun). */
#define TAILSCALE_INTERFACE "tailscale0"
