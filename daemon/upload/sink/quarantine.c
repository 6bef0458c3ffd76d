/* SPDX-License-Identifier: BSD-3-Clause */
/* One file per message, so that the oldest can go when a new one needs the room. */

#include "daemon/upload/sink/quarantine.h"

#include "common/file.h"
#include "common/spool/format.h"
#include "common/time_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define QUARANTINE_DIRECTORY "quarantine"
#define FILE_NAME_MAX	     63

/* A file in quarantine, and when it arrived. */
struct kept {
	char name[FILE_NAME_MAX + 1];
	uint64_t size;
	int64_t time;
};

static int compare(const void *a, const void *b)
{
	const struct kept *left = a, *right = b;

	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* The oldest go. Sequences do not tell which: a new spool starts them over. */
static int make_room(int fd, uint64_t needed, uint64_t max)
{
	struct dirent **entries = NULL;
	int n = scandirat(fd, ".", &entries, NULL, NULL), n_kept = 0;
	_cleanup_free_ struct kept *kept = NULL;
	uint64_t total = needed;

	if (n < 0)
		return -errno;
	kept = calloc((size_t)n + 1, sizeof(*kept));
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		size_t n_name = strlen(name);
		struct stat st;

		if (kept && n_name <= FILE_NAME_MAX && n_name >= 5 &&
		    strcmp(name + n_name - 5, ".json") == 0 &&
		    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			kept[n_kept] = (struct kept){
				.size = (uint64_t)st.st_size,
				.time = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec,
			};
			memcpy(kept[n_kept++].name, name, n_name + 1);
		}
		free(entries[i]);
	}
	free(entries);
	if (!kept)
		return -ENOMEM;
	qsort(kept, (size_t)n_kept, sizeof(*kept), compare);
	for (int i = n_kept - 1; i >= 0; i--) {
		total += kept[i].size;
		if (total > max)
			(void)unlinkat(fd, kept[i].name, 0);
	}
	return 0;
}

int quarantine_add(int directory_fd, const struct spool_message *message, uint64_t max)
{
	_cleanup_close_ int fd = -1;
	char name[FILE_NAME_MAX + 1], id[SPOOL_ID_TEXT_MAX];
	_cleanup_free_ char *line = NULL;
	size_t n = message->length;
	int r;

	r = make_directory_at(directory_fd, QUARANTINE_DIRECTORY, 0700);
	if (r < 0)
		return r;
	fd = open_directory_at(directory_fd, QUARANTINE_DIRECTORY);
	if (fd < 0)
		return fd;
	if (n + 1 > max)
		return -EFBIG;
	file_remove_temporary(fd, NULL);
	r = make_room(fd, n + 1, max);
	if (r < 0)
		return r;
	line = malloc(n + 1);
	if (!line)
		return -ENOMEM;
	memcpy(line, message->data, n);
	line[n] = '\n';
	spool_id_format(&message->position.spool_id, id);
	snprintf(name, sizeof(name), "%016" PRIx64 "-%.8s.json", message->sequence, id);
	return file_write_atomic(fd, name, line, n + 1, 0600);
}
