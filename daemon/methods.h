/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The methods of org.netlogd.control. */

struct daemon;

/* Adds the interface to daemon->control. 0 or -errno. */
int methods_add(struct daemon *daemon);
/* The uploader has named the log ID, or will not any more: answers the calls of Start that wait for it. */
void methods_identified(struct daemon *daemon);
/* The daemon's state has changed: answers made before are out of date. */
void methods_changed(struct daemon *daemon);
