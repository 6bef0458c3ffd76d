/* Damaged parts are named after their segments, and segments' names ascend, so names tell which are the
 * oldest.
 */

#include "daemon/spool_damaged.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "daemon/spool_files.h"
#include "daemon/spool_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int spool_damaged_open(const struct spool_store *store)
{
	mode_t mode = store->options->file_mode & 040 ? 0750 : 0700;
	int fd;

	if (mkdirat(store->directory_fd, SPOOL_DAMAGED_NAME, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(store->directory_fd, SPOOL_DAMAGED_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int is_kept(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Goes through the files, oldest first, and removes them as long as they are together larger than max. */
static bool look_through(struct spool_store *store, uint64_t max)
{
	_cleanup_close_ int fd = openat(store->directory_fd, SPOOL_DAMAGED_NAME,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent **entries = NULL;
	bool removed = false;
	struct stat st;
	int n = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_kept, alphasort);

	store->damaged_size = 0;
	for (int i = 0; i < n; i++)
		if (fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			store->damaged_size += spool_blocks((uint64_t)st.st_size);
	for (int i = 0; i < n; i++) {
		if (store->damaged_size > max &&
		    fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    store->files->unlinkat(fd, entries[i]->d_name, store->files->userdata) == 0) {
			store->damaged_size -= spool_blocks((uint64_t)st.st_size);
			removed = true;
		}
		free(entries[i]);
	}
	free(entries);
	return removed;
}

void spool_damaged_measure(struct spool_store *store)
{
	_cleanup_close_ int fd = openat(store->directory_fd, SPOOL_DAMAGED_NAME,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		file_remove_temporary(fd, NULL);
	look_through(store, UINT64_MAX);
}

bool spool_damaged_shrink(struct spool_store *store, uint64_t max)
{
	return store->damaged_size > max && look_through(store, max);
}
