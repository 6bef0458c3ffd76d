#pragma once

/* What a userspace VPN hands over on its stats socket (control/org.netlogd.device.varlink), checked. */

#include "daemon/device/device.h"

#include <jansson.h>

/*
 * Adds the connections of one reply's parameters, all to the totals: at most max_flows become entries, the
 * rest goes to overflow. 0, -ENOMEM, or -EBADMSG when any of it is nonsense.
 */
int stats_reply_read(const json_t *parameters, uint32_t max_flows, struct extraction *extraction);
