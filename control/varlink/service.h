/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* org.varlink.service, which every Varlink service has: who it is, and what its interfaces look like. */

#include "control/varlink/call.h"

/* The userdata of the interface's methods. Both borrowed. */
struct varlink_service {
	const struct varlink_server_options *options;
	const struct varlink_calls *calls;
};

extern const struct varlink_interface varlink_service_interface;
