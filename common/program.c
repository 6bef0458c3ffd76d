/* SPDX-License-Identifier: BSD-3-Clause */
/* Beside the running program, so that a build's programs find each other and not those that are installed. */

#include "common/program.h"

#include "common/cleanup.h"

#include <limits.h>
#include <string.h>

char *program_find(const char *const *places, size_t n_places)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	slash[1] = '\0';
	for (size_t i = 0; i < n_places; i++) {
		char *path;

		if (asprintf(&path, "%s%s", places[i][0] == '/' ? "" : self, places[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}
