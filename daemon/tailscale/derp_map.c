/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map is small and asked for once an hour, so jansson reads it. A region's number is written as a port
 * (127.3.3.40:4), so larger ones are of no use.
 */

#include "daemon/tailscale/derp_map.h"

#include "common/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#define CODE_MAX 32 /* bytes, with the NUL */

struct region {
	char code[CODE_MAX];
	unsigned int number;
};

struct derp_map {
	size_t n;
	struct region regions[];
};

void derp_map_free(struct derp_map *map)
{
	free(map);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct region *)a)->code, ((const struct region *)b)->code);
}

/* The region's own number is also its key, which is as good where the member is missing. */
static void add_region(struct derp_map *map, const char *key, const json_t *value)
{
	const char *code = json_string_value(json_object_get(value, "RegionCode"));
	const json_t *member = json_object_get(value, "RegionID");
	json_int_t number = json_is_integer(member) ? json_integer_value(member) : strtoll(key, NULL, 10);

	if (!code || !*code || strlen(code) >= CODE_MAX || number < 1 || number > UINT16_MAX)
		return;
	memcpy(map->regions[map->n].code, code, strlen(code) + 1);
	map->regions[map->n++].number = (unsigned int)number;
}

int derp_map_read(const char *text, size_t size, struct derp_map **ret_map)
{
	json_t *root = json_loadb(text, size, 0, NULL), *regions, *value;
	struct derp_map *map;
	const char *key;
	size_t n;

	regions = json_object_get(root, "Regions");
	if (!json_is_object(regions)) {
		json_decref(root);
		return -EBADMSG;
	}
	n = MIN(json_object_size(regions), (size_t)DERP_REGIONS_MAX);
	map = calloc(1, sizeof(*map) + n * sizeof(*map->regions));
	if (!map) {
		json_decref(root);
		return -ENOMEM;
	}
	json_object_foreach (regions, key, value) {
		if (map->n == n)
			break;
		add_region(map, key, value);
	}
	qsort(map->regions, map->n, sizeof(*map->regions), compare);
	json_decref(root);
	*ret_map = map;
	return 0;
}

unsigned int derp_map_find(const struct derp_map *map, const char *code)
{
	struct region wanted = {};
	const struct region *found;

	if (!map || strlen(code) >= CODE_MAX)
		return 0;
	memcpy(wanted.code, code, strlen(code) + 1);
	found = bsearch(&wanted, map->regions, map->n, sizeof(*map->regions), compare);
	return found ? found->number : 0;
}

size_t derp_map_count(const struct derp_map *map)
{
	return map ? map->n : 0;
}
