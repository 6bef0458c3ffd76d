/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What an installed systemd unit lets its service do: who it is, and where it may write. Read from the unit
 * and its drop-ins, without a service manager.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define UNIT_PLACES_MAX 64

struct unit_place {
	char path[256];
	bool is_made; /* by the service manager, when the service starts */
};

/* Names; "" for none. */
struct unit {
	char name[128]; /* as systemctl takes it; "" when the unit is not known */
	char user[64];
	char group[64];
	char more_groups[256]; /* separated by blanks */
	/* Nothing but the places can be written. False too when they cannot be told from the files. */
	bool is_strict;
	bool hides_home;
	bool has_own_tmp;
	struct unit_place places[UNIT_PLACES_MAX];
	size_t n_places;
};

/* "netlogd.service" or "netlogd@.service", with its instance or NULL. False: it is not installed. */
bool unit_find(const char *file, const char *instance, struct unit *ret_unit);

/*
 * Why the service cannot write in this directory, as text for people that says what to do; owned by the
 * caller. NULL: nothing is known against it, or no memory. The rights of its user are another matter.
 */
char *unit_write_problem(const struct unit *unit, const char *directory);
/* Whether the service manager makes this directory when the service starts. */
bool unit_makes(const struct unit *unit, const char *directory);
