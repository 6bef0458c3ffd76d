/*
 * Where messages go that a server refuses for what they are: kept for a person to look at, within a bound,
 * and out of the way of the stream.
 */

#include "daemon/upload/sink_internal.h"

#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define QUARANTINE_DIRECTORY "quarantine"
#define FILE_NAME_LENGTH     21 /* 16 digits and ".json" */

static int open_quarantine(int directory_fd)
{
	int fd;

	if (mkdirat(directory_fd, QUARANTINE_DIRECTORY, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(directory_fd, QUARANTINE_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int is_message_file(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n == FILE_NAME_LENGTH && strcmp(entry->d_name + n - 5, ".json") == 0;
}

/* Names sort by sequence, so the first ones are the oldest. */
static int make_room(int fd, uint64_t needed, uint64_t max)
{
	struct dirent **entries = NULL;
	uint64_t total = needed;
	int n = scandirat(fd, ".", &entries, is_message_file, alphasort);

	if (n < 0)
		return -errno;
	for (int i = n - 1; i >= 0; i--) {
		struct stat st;

		if (fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			total += (uint64_t)st.st_size;
		if (total > max)
			(void)unlinkat(fd, entries[i]->d_name, 0);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int quarantine_add(int directory_fd, uint64_t sequence, const char *message, size_t n, uint64_t max)
{
	_cleanup_close_ int fd = open_quarantine(directory_fd);
	_cleanup_free_ char *line = NULL;
	char name[FILE_NAME_LENGTH + 1];
	int r;

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
	memcpy(line, message, n);
	line[n] = '\n';
	snprintf(name, sizeof(name), "%016" PRIx64 ".json", sequence);
	return file_write_atomic(fd, name, line, n + 1, 0600);
}
