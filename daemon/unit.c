/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Only the settings that the shipped units use are understood. Where a value has more than that (a quoted
 * path, a specifier that only the manager knows), nothing is claimed: a false alarm is worse than none.
 */

#include "daemon/unit.h"

#include "common/cleanup.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system",
				      "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
				      "/lib/systemd/system"};

/* Settings with names of directories below one of these, or with whole paths. */
static const struct {
	const char *key;
	const char *base; /* NULL: paths */
} place_keys[] = {
	{"ReadWritePaths", NULL},	  {"StateDirectory", "/var/lib"}, {"RuntimeDirectory", "/run"},
	{"CacheDirectory", "/var/cache"}, {"LogsDirectory", "/var/log"},
};

/* ---- reading ---- */

/* The value of a line that sets this key, or NULL. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	line += strspn(line, " \t");
	if (strncmp(line, key, n) != 0)
		return NULL;
	line += n + strspn(line + n, " \t");
	return *line == '=' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static void take(const char *line, const char *key, size_t max, char *ret_value)
{
	const char *value = value_of(line, key);

	if (value)
		snprintf(ret_value, max, "%s", value);
}

static bool is_true(const char *value)
{
	return strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "on") == 0 ||
	       strcmp(value, "1") == 0;
}

/* One word of such a setting. False: it cannot be told which place it means. */
static bool add_place(struct unit *unit, const char *base, const char *word, const char *instance)
{
	struct unit_place *place = &unit->places[unit->n_places];
	size_t n = 0;

	if (unit->n_places == UNIT_PLACES_MAX || strpbrk(word, "\\\"'"))
		return false;
	word += base ? 0 : strspn(word, "-+");
	if (base)
		n = (size_t)snprintf(place->path, sizeof(place->path), "%s/", base);
	for (; *word && !(base && *word == ':'); word++) {
		bool is_instance = word[0] == '%' && (word[1] == 'i' || word[1] == 'I') && instance;

		if (*word == '%' && !is_instance)
			return false;
		n += (size_t)snprintf(place->path + n, sizeof(place->path) - n, "%.*s",
				      is_instance ? INT_MAX : 1, is_instance ? instance : word);
		if (n >= sizeof(place->path))
			return false;
		word += is_instance;
	}
	place->is_made = base != NULL;
	unit->n_places++;
	return true;
}

static bool take_places(struct unit *unit, char *line, const char *instance)
{
	for (size_t i = 0; i < ARRAY_SIZE(place_keys); i++) {
		const char *value = value_of(line, place_keys[i].key);
		char *word, *rest;

		if (!value)
			continue;
		rest = line + (value - line);
		while ((word = strsep(&rest, " \t")))
			if (*word && !add_place(unit, place_keys[i].base, word, instance))
				return false;
		return true;
	}
	return true;
}

static void read_file(FILE *file, const char *instance, struct unit *unit, bool *is_clear)
{
	char line[1024], value[64];
	const char *groups;
	size_t n;

	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = '\0';
		take(line, "User", sizeof(unit->user), unit->user);
		take(line, "Group", sizeof(unit->group), unit->group);
		groups = value_of(line, "SupplementaryGroups");
		n = strlen(unit->more_groups);
		if (groups)
			snprintf(unit->more_groups + n, sizeof(unit->more_groups) - n, " %s", groups);
		value[0] = '\0';
		take(line, "ProtectSystem", sizeof(value), value);
		if (value[0])
			unit->is_strict = strcmp(value, "strict") == 0;
		value[0] = '\0';
		take(line, "ProtectHome", sizeof(value), value);
		if (value[0])
			unit->hides_home = is_true(value) || strcmp(value, "tmpfs") == 0;
		value[0] = '\0';
		take(line, "PrivateTmp", sizeof(value), value);
		if (value[0])
			unit->has_own_tmp = is_true(value);
		if (!take_places(unit, line, instance))
			*is_clear = false;
	}
}

/* Drop-ins of one name, of all folders: what an operator has allowed beside the unit's own places. */
static void read_drop_ins(const char *folder, const char *name, const char *instance, struct unit *unit,
			  bool *is_clear)
{
	char pattern[512];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/%s.d/*.conf", folder, name);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "re");

		if (!file)
			continue;
		read_file(file, instance, unit, is_clear);
		fclose(file);
	}
	globfree(&found);
}

bool unit_find(const char *name, const char *instance, struct unit *ret_unit)
{
	struct unit unit = {};
	bool is_clear = true;
	FILE *file = NULL;
	char path[256];
	int n = (int)strcspn(name, "@");

	for (size_t i = 0; !file && i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		file = fopen(path, "re");
	}
	if (!file)
		return false;
	read_file(file, instance, &unit, &is_clear);
	fclose(file);
	if (instance)
		snprintf(unit.name, sizeof(unit.name), "%.*s@%s.service", n, name, instance);
	else
		snprintf(unit.name, sizeof(unit.name), "%s", name);
	/* /lib is /usr/lib, or has none of these. The first folders are the operator's: they are read last.
	 */
	for (size_t i = ARRAY_SIZE(folders) - 1; i-- > 0;) {
		read_drop_ins(folders[i], name, instance, &unit, &is_clear);
		if (instance)
			read_drop_ins(folders[i], unit.name, instance, &unit, &is_clear);
	}
	unit.is_strict = unit.is_strict && is_clear;
	*ret_unit = unit;
	return true;
}

/* ---- places ---- */

/* The path that links lead to, as far as it exists: as the manager sees it. NULL without memory. */
static char *follow(const char *path)
{
	_cleanup_free_ char *start = strdup(path), *real = NULL;
	char *result;

	if (!start)
		return NULL;
	while (!(real = realpath(start, NULL))) {
		char *slash = strrchr(start, '/');

		if (!slash || slash == start)
			return strdup(path);
		*slash = '\0';
	}
	return asprintf(&result, "%s%s", real, path + strlen(start)) < 0 ? NULL : result;
}

static bool is_below(const char *path, const char *place)
{
	size_t n = strlen(place);

	while (n > 1 && place[n - 1] == '/')
		n--;
	return strncmp(path, place, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

static bool is_below_any(const char *path, const char *const places[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_below(path, places[i]))
			return true;
	return false;
}

/* NULL when one of the places holds the path, or without memory. */
static char *tell_read_only(const struct unit *unit, const char *path, const char *directory)
{
	char places[1024] = "";
	char *text = NULL;

	for (size_t i = 0, n = 0; i < unit->n_places; i++) {
		_cleanup_free_ char *place = follow(unit->places[i].path);

		if (!place || is_below(path, place))
			return NULL;
		if (n < sizeof(places))
			n += (size_t)snprintf(places + n, sizeof(places) - n, " %s", unit->places[i].path);
	}
	if (asprintf(&text,
		     "read-only for %s (ProtectSystem=strict), which can write in%s; to allow more, make the "
		     "directory and a drop-in (\"systemctl edit %s\") with the lines \"[Service]\" and "
		     "\"ReadWritePaths=%s\"",
		     unit->name, places[0] ? places : " no place", unit->name, directory) < 0)
		return NULL;
	return text;
}

char *unit_write_problem(const struct unit *unit, const char *directory)
{
	static const char *const homes[] = {"/home", "/root", "/run/user"};
	static const char *const tmps[] = {"/tmp", "/var/tmp"};
	static const char *const others[] = {"/dev", "/proc", "/sys"};
	_cleanup_free_ char *path = follow(directory);
	const char *problem = NULL;
	char *text = NULL;

	if (!path || !unit->name[0])
		return NULL;
	if (unit->hides_home && is_below_any(path, homes, ARRAY_SIZE(homes)))
		problem = "cannot see it (ProtectHome=yes)";
	else if (unit->has_own_tmp && is_below_any(path, tmps, ARRAY_SIZE(tmps)))
		problem = "has another one, which ends with it and nobody else sees (PrivateTmp=yes)";
	else if (unit->is_strict && !is_below_any(path, others, ARRAY_SIZE(others)))
		return tell_read_only(unit, path, directory);
	if (!problem || asprintf(&text, "%s %s: choose another place", unit->name, problem) < 0)
		return NULL;
	return text;
}

bool unit_makes(const struct unit *unit, const char *directory)
{
	for (size_t i = 0; i < unit->n_places; i++)
		if (unit->places[i].is_made && strcmp(unit->places[i].path, directory) == 0)
			return true;
	return false;
}
