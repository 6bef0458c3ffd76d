/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The regions of the relays that tailscaled can fall back to: their codes, which a peer's status has, and
 * their numbers, which addresses in the log have (tailcfg.DERPMap).
 */

#include <stddef.h>

#define DERP_REGIONS_MAX 4096

struct derp_map;

/*
 * Reads the answer to /localapi/v0/derpmap. Regions that make no sense are left out. 0, -EBADMSG when it is
 * no such answer, or -ENOMEM.
 */
int derp_map_read(const char *text, size_t size, struct derp_map **ret_map);
void derp_map_free(struct derp_map *map);
/* The number of a region, 1 to 65535; 0: not known. NULL is a map without regions. */
unsigned int derp_map_find(const struct derp_map *map, const char *code);
size_t derp_map_count(const struct derp_map *map);
