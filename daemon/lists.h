/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The methods that answer with a long list, in parts: GetRoutes, GetPeers, GetNodes. */

#include "daemon/logger/lists.h"

struct daemon;
struct varlink_call;

/*
 * Answers the call, which wants more, with the logger's list as it is now, a part at a time and no faster
 * than the client reads. 0 or -errno (nothing answered; -EBUSY: too many at once).
 */
int lists_answer(struct daemon *daemon, struct varlink_call *call, enum logger_list_kind kind);
