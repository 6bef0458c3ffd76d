/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Calls of the daemon's control interface, with its errors told to people. */

#include <jansson.h>
#include <stdbool.h>

struct ctl;

/*
 * Calls a method of org.netlogd.control; takes the reference to parameters, which may be NULL. CTL_OK with
 * the reply's parameters, or CTL_FAILED with a message printed.
 */
int ctl_call(struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms,
	     json_t **ret_parameters);

/*
 * A stream of replies ("more"), until it ends or reply() returns false. reply() is called without parameters
 * when nothing came for idle_ms (-1: never). CTL_OK, or CTL_FAILED with a message printed, also when the
 * daemon ends.
 */
int ctl_stream(struct ctl *ctl, const char *method, int idle_ms,
	       bool (*reply)(json_t *parameters, void *userdata), void *userdata);

/*
 * A long list that comes in parts, all in one array: the member of a method's replies. CTL_OK, also with NULL
 * from an older daemon, which does not know the method; or CTL_FAILED with a message printed.
 */
int ctl_list(struct ctl *ctl, const char *method, const char *member, json_t **ret_list);
