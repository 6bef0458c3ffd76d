/* SPDX-License-Identifier: BSD-3-Clause */
/* Inodes are kept open, so that the numbers by which they are known are not given to others. */

#include "torn_disk.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LENGTH 256
#define NEVER	    SIZE_MAX

enum kind { WRITE, RESIZE, NAME, UNNAME, RENAME };

struct inode {
	dev_t device;
	ino_t number;
	int fd; /* O_PATH */
	bool directory;
	mode_t mode;
	uint8_t *data; /* at the beginning */
	size_t size;
};

struct entry {
	size_t directory, inode;
	char name[NAME_LENGTH];
};

struct operation {
	enum kind kind;
	size_t inode;	  /* the file that is written, or that has the name */
	size_t directory; /* of names */
	char name[NAME_LENGTH], to[NAME_LENGTH];
	size_t to_directory;
	uint64_t offset; /* or the new size */
	uint8_t *data;
	size_t n;
	size_t safe; /* from this moment on */
	bool doomed; /* a sync failed: no other saves it */
};

static struct {
	pthread_mutex_t lock;
	bool recording;
	struct inode *inodes;
	size_t n_inodes;
	struct entry *entries; /* at the beginning */
	size_t n_entries;
	struct operation *operations;
	size_t n_operations;
	unsigned int fail_after;
	const char *hooked;
	pthread_t hooks; /* the thread */
	void (*hook)(void);
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

int __real_openat64(int directory, const char *name, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t offset);
int __real_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t offset, off_t size);
int __real_mkdir(const char *path, mode_t mode);
int __real_mkdirat(int directory, const char *name, mode_t mode);
int __real_unlinkat(int directory, const char *name, int flags);
int __real_renameat(int from, const char *name, int to, const char *new_name);
int __real_renameat2(int from, const char *name, int to, const char *new_name, unsigned int flags);

int __wrap_openat64(int directory, const char *name, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t offset);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdirat(int directory, const char *name, mode_t mode);
int __wrap_unlinkat(int directory, const char *name, int flags);
int __wrap_renameat(int from, const char *name, int to, const char *new_name);
int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned int flags);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

/* ---- what is known ---- */

static void *grow(void *list, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return list;
	list = realloc(list, (n ? 2 * n : 1) * size);
	ck_assert_ptr_nonnull(list);
	return list;
}

static size_t find_inode(const struct stat *st)
{
	for (size_t i = 0; i < disk.n_inodes; i++)
		if (disk.inodes[i].device == st->st_dev && disk.inodes[i].number == st->st_ino)
			return i;
	return NEVER;
}

static size_t find_fd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? find_inode(&st) : NEVER;
}

static size_t add_inode(int directory, const char *name)
{
	struct stat st;
	struct inode *inode;

	ck_assert_int_eq(fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	disk.inodes = grow(disk.inodes, disk.n_inodes, sizeof(*disk.inodes));
	inode = &disk.inodes[disk.n_inodes];
	*inode = (struct inode){
		.device = st.st_dev,
		.number = st.st_ino,
		.fd = __real_openat64(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC),
		.directory = S_ISDIR(st.st_mode),
		.mode = st.st_mode & 07777,
	};
	ck_assert_int_ge(inode->fd, 0);
	return disk.n_inodes++;
}

/* The directory in which a name is made, and its last component. NEVER when it is none of ours. */
static size_t find_directory(int directory, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[512];
	struct stat st;

	*ret_name = slash ? slash + 1 : path;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return fstatat(directory, parent, &st, 0) == 0 ? find_inode(&st) : NEVER;
}

static struct operation *add_operation(enum kind kind, size_t inode)
{
	struct operation *operation;

	disk.operations = grow(disk.operations, disk.n_operations, sizeof(*disk.operations));
	operation = &disk.operations[disk.n_operations++];
	*operation = (struct operation){.kind = kind, .inode = inode, .directory = NEVER, .safe = NEVER};
	operation->to_directory = NEVER;
	return operation;
}

static void add_name(enum kind kind, size_t directory, const char *name, size_t inode)
{
	struct operation *operation = add_operation(kind, inode);

	operation->directory = directory;
	snprintf(operation->name, sizeof(operation->name), "%s", name);
}

static void add_write(int fd, const void *data, size_t n, uint64_t offset)
{
	size_t inode = find_fd(fd);
	struct operation *operation;

	if (inode == NEVER)
		return;
	operation = add_operation(WRITE, inode);
	operation->offset = offset;
	operation->n = n;
	operation->data = malloc(n);
	ck_assert_ptr_nonnull(operation->data);
	memcpy(operation->data, data, n);
}

static void add_size(int fd, uint64_t size)
{
	size_t inode = find_fd(fd);

	if (inode != NEVER)
		add_operation(RESIZE, inode)->offset = size;
}

/* ---- the calls ---- */

int __wrap_openat64(int directory, const char *name, int flags, ...)
{
	struct stat st;
	const char *last;
	size_t parent;
	va_list arguments;
	mode_t mode;
	bool there;
	int fd;

	va_start(arguments, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	pthread_mutex_lock(&disk.lock);
	there = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = __real_openat64(directory, name, flags, mode);
	if (disk.recording && fd >= 0 && flags & O_CREAT && !there) {
		parent = find_directory(directory, name, &last);
		if (parent != NEVER)
			add_name(NAME, parent, last, add_inode(directory, name));
	} else if (disk.recording && fd >= 0 && flags & O_TRUNC && st.st_size > 0) {
		add_size(fd, 0);
	}
	pthread_mutex_unlock(&disk.lock);
	return fd;
}

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	uint64_t offset = 0;
	struct stat st;
	ssize_t done;

	pthread_mutex_lock(&disk.lock);
	if (disk.recording && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		offset = fcntl(fd, F_GETFL) & O_APPEND ? (uint64_t)st.st_size
						       : (uint64_t)lseek(fd, 0, SEEK_CUR);
	done = __real_write(fd, data, n);
	if (disk.recording && done > 0)
		add_write(fd, data, (size_t)done, offset);
	pthread_mutex_unlock(&disk.lock);
	return done;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t offset)
{
	ssize_t done;

	pthread_mutex_lock(&disk.lock);
	done = __real_pwrite64(fd, data, n, offset);
	if (disk.recording && done > 0)
		add_write(fd, data, (size_t)done, (uint64_t)offset);
	pthread_mutex_unlock(&disk.lock);
	return done;
}

int __wrap_ftruncate64(int fd, off_t size)
{
	int r;

	pthread_mutex_lock(&disk.lock);
	r = __real_ftruncate64(fd, size);
	if (disk.recording && r == 0)
		add_size(fd, (uint64_t)size);
	pthread_mutex_unlock(&disk.lock);
	return r;
}

/* Room is never short here, and nobody reads what is held in reserve. */
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)size;
	return 0;
}

static int record_mkdir(int r, int directory, const char *name)
{
	const char *last;
	size_t parent = disk.recording && r == 0 ? find_directory(directory, name, &last) : NEVER;

	if (parent != NEVER)
		add_name(NAME, parent, last, add_inode(directory, name));
	pthread_mutex_unlock(&disk.lock);
	return r;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	pthread_mutex_lock(&disk.lock);
	return record_mkdir(__real_mkdir(path, mode), AT_FDCWD, path);
}

int __wrap_mkdirat(int directory, const char *name, mode_t mode)
{
	pthread_mutex_lock(&disk.lock);
	return record_mkdir(__real_mkdirat(directory, name, mode), directory, name);
}

int __wrap_unlinkat(int directory, const char *name, int flags)
{
	const char *last;
	struct stat st;
	size_t parent, inode = NEVER;
	int r;

	pthread_mutex_lock(&disk.lock);
	if (disk.recording && fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		inode = find_inode(&st);
	r = __real_unlinkat(directory, name, flags);
	parent = disk.recording && r == 0 ? find_directory(directory, name, &last) : NEVER;
	if (parent != NEVER && inode != NEVER)
		add_name(UNNAME, parent, last, inode);
	pthread_mutex_unlock(&disk.lock);
	return r;
}

int __wrap_renameat2(int from, const char *name, int to, const char *new_name, unsigned int flags)
{
	const char *last, *new_last;
	size_t parent, new_parent;
	struct stat st;
	int r;

	pthread_mutex_lock(&disk.lock);
	r = __real_renameat2(from, name, to, new_name, flags);
	if (disk.recording && r == 0 && fstatat(to, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		parent = find_directory(from, name, &last);
		new_parent = find_directory(to, new_name, &new_last);
		if (parent != NEVER && new_parent != NEVER) {
			add_name(RENAME, parent, last, find_inode(&st));
			disk.operations[disk.n_operations - 1].to_directory = new_parent;
			snprintf(disk.operations[disk.n_operations - 1].to, NAME_LENGTH, "%s", new_last);
		}
	}
	pthread_mutex_unlock(&disk.lock);
	return r;
}

int __wrap_renameat(int from, const char *name, int to, const char *new_name)
{
	return __wrap_renameat2(from, name, to, new_name, 0);
}

/* Whether a sync of this inode makes the operation safe. */
static bool belongs(const struct operation *operation, size_t inode)
{
	if (operation->kind == WRITE || operation->kind == RESIZE)
		return operation->inode == inode;
	return operation->directory == inode;
}

static bool is_hooked(int fd)
{
	char path[64], target[512] = {};
	const char *slash;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!disk.hooked || !pthread_equal(disk.hooks, pthread_self()) ||
	    readlink(path, target, sizeof(target) - 1) < 0)
		return false;
	slash = strrchr(target, '/');
	return slash && strcmp(slash + 1, disk.hooked) == 0;
}

int __wrap_fsync(int fd)
{
	bool fails = false;
	size_t inode;

	if (disk.recording && is_hooked(fd))
		disk.hook();
	pthread_mutex_lock(&disk.lock);
	inode = disk.recording ? find_fd(fd) : NEVER;
	if (inode != NEVER && disk.fail_after > 0)
		fails = --disk.fail_after == 0;
	for (size_t i = 0; inode != NEVER && i < disk.n_operations; i++) {
		struct operation *operation = &disk.operations[i];

		if (operation->safe != NEVER || !belongs(operation, inode))
			continue;
		if (fails)
			operation->doomed = true;
		else if (!operation->doomed)
			operation->safe = disk.n_operations;
	}
	pthread_mutex_unlock(&disk.lock);
	errno = EIO;
	return fails ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	return __wrap_fsync(fd);
}

/* ---- recording ---- */

static void scan_directory(size_t directory)
{
	int fd = __real_openat64(disk.inodes[directory].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	struct dirent *item;

	ck_assert_ptr_nonnull(stream);
	while ((item = readdir(stream))) {
		size_t inode;

		if (item->d_name[0] == '.')
			continue;
		inode = add_inode(fd, item->d_name);
		disk.entries = grow(disk.entries, disk.n_entries, sizeof(*disk.entries));
		disk.entries[disk.n_entries] = (struct entry){.directory = directory, .inode = inode};
		snprintf(disk.entries[disk.n_entries++].name, NAME_LENGTH, "%s", item->d_name);
		if (disk.inodes[inode].directory) {
			scan_directory(inode);
		} else {
			int file = __real_openat64(fd, item->d_name, O_RDONLY | O_CLOEXEC);
			struct stat st;

			ck_assert_int_eq(fstat(file, &st), 0);
			disk.inodes[inode].size = (size_t)st.st_size;
			disk.inodes[inode].data = malloc((size_t)st.st_size + 1);
			ck_assert_int_eq(read(file, disk.inodes[inode].data, (size_t)st.st_size), st.st_size);
			close(file);
		}
	}
	closedir(stream);
}

void torn_disk_begin(const char *root)
{
	torn_disk_forget();
	scan_directory(add_inode(AT_FDCWD, root));
	disk.recording = true;
}

size_t torn_disk_now(void)
{
	size_t n;

	pthread_mutex_lock(&disk.lock);
	n = disk.n_operations;
	pthread_mutex_unlock(&disk.lock);
	return n;
}

void torn_disk_fail_sync(unsigned int after)
{
	pthread_mutex_lock(&disk.lock);
	disk.fail_after = after;
	pthread_mutex_unlock(&disk.lock);
}

void torn_disk_before_sync(const char *name, void (*call)(void))
{
	disk.hooked = name;
	disk.hooks = pthread_self();
	disk.hook = call;
}

void torn_disk_end(void)
{
	disk.recording = false;
	disk.fail_after = 0;
	disk.hooked = NULL;
}

void torn_disk_forget(void)
{
	torn_disk_end();
	for (size_t i = 0; i < disk.n_inodes; i++) {
		close(disk.inodes[i].fd);
		free(disk.inodes[i].data);
	}
	for (size_t i = 0; i < disk.n_operations; i++)
		free(disk.operations[i].data);
	free(disk.inodes);
	free(disk.entries);
	free(disk.operations);
	disk.inodes = NULL;
	disk.entries = NULL;
	disk.operations = NULL;
	disk.n_inodes = disk.n_entries = disk.n_operations = 0;
}

/* ---- states ---- */

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct state {
	size_t moment;
	const struct torn_choice *choice;
	uint64_t drawn;
	struct {
		uint8_t *data;
		size_t size, allocated;
	} * files;
	struct entry *entries;
	size_t n_entries;
	uint64_t hash;
};

/* Whether the next piece of an operation has reached the disk. */
static bool arrives(struct state *state, const struct operation *operation)
{
	if (operation->safe <= state->moment)
		return true;
	return mix(state->choice->seed ^ mix(++state->drawn)) % 1000 < state->choice->of_1000;
}

static void reach(struct state *state, size_t inode, size_t end)
{
	size_t old = state->files[inode].allocated;

	if (end <= old)
		return;
	state->files[inode].data = realloc(state->files[inode].data, end);
	ck_assert_ptr_nonnull(state->files[inode].data);
	memset(state->files[inode].data + old, 0, end - old);
	state->files[inode].allocated = end;
}

static void apply_write(struct state *state, const struct operation *operation)
{
	size_t end = operation->offset + operation->n;

	reach(state, operation->inode, end);
	for (size_t at = operation->offset; at < end;) {
		size_t next = (at / TORN_SECTOR + 1) * TORN_SECTOR;

		next = next < end ? next : end;
		if (arrives(state, operation))
			memcpy(state->files[operation->inode].data + at,
			       operation->data + (at - operation->offset), next - at);
		at = next;
	}
	if (state->files[operation->inode].size < end && arrives(state, operation))
		state->files[operation->inode].size = end;
}

static void apply_resize(struct state *state, const struct operation *operation)
{
	size_t size = operation->offset, old = state->files[operation->inode].size;

	if (!arrives(state, operation))
		return;
	reach(state, operation->inode, size);
	if (size < old)
		memset(state->files[operation->inode].data + size, 0, old - size);
	state->files[operation->inode].size = size;
}

static void set_entry(struct state *state, size_t directory, const char *name, size_t inode)
{
	for (size_t i = 0; i < state->n_entries; i++) {
		struct entry *entry = &state->entries[i];

		if (entry->directory != directory || strcmp(entry->name, name) != 0)
			continue;
		if (inode == NEVER)
			*entry = state->entries[--state->n_entries];
		else
			entry->inode = inode;
		return;
	}
	if (inode == NEVER)
		return;
	state->entries[state->n_entries] = (struct entry){.directory = directory, .inode = inode};
	snprintf(state->entries[state->n_entries++].name, NAME_LENGTH, "%s", name);
}

static void apply_names(struct state *state, const struct operation *operation)
{
	if (!arrives(state, operation))
		return;
	if (operation->kind == NAME) {
		set_entry(state, operation->directory, operation->name, operation->inode);
		return;
	}
	set_entry(state, operation->directory, operation->name, NEVER);
	if (operation->kind == RENAME)
		set_entry(state, operation->to_directory, operation->to, operation->inode);
}

static void hash_bytes(struct state *state, const void *data, size_t n)
{
	const uint8_t *at = data;

	while (n-- > 0)
		state->hash = (state->hash ^ *at++) * UINT64_C(0x100000001b3);
}

static void put_directory(struct state *state, size_t directory, int fd)
{
	for (size_t i = 0; i < state->n_entries; i++) {
		const struct entry *entry = &state->entries[i];
		const struct inode *inode = &disk.inodes[entry->inode];
		int made;

		if (entry->directory != directory)
			continue;
		hash_bytes(state, entry->name, strlen(entry->name) + 1);
		if (inode->directory) {
			ck_assert_int_eq(__real_mkdirat(fd, entry->name, 0700), 0);
			made = __real_openat64(fd, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			put_directory(state, entry->inode, made);
		} else {
			size_t size = state->files[entry->inode].size;

			made = __real_openat64(fd, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
					       0600);
			reach(state, entry->inode, size);
			ck_assert_int_eq(__real_write(made, state->files[entry->inode].data, size),
					 (ssize_t)size);
			hash_bytes(state, state->files[entry->inode].data, size);
		}
		ck_assert_int_ge(made, 0);
		close(made);
	}
}

uint64_t torn_disk_make(size_t moment, const struct torn_choice *choice, const char *root)
{
	struct state state = {.moment = moment, .choice = choice, .hash = UINT64_C(0xcbf29ce484222325)};
	int fd;

	ck_assert(!disk.recording);
	state.files = calloc(disk.n_inodes, sizeof(*state.files));
	state.entries = calloc(disk.n_entries + disk.n_operations + 1, sizeof(*state.entries));
	ck_assert(state.files && state.entries);
	for (size_t i = 0; i < disk.n_inodes; i++) {
		reach(&state, i, disk.inodes[i].size);
		if (disk.inodes[i].size > 0)
			memcpy(state.files[i].data, disk.inodes[i].data, disk.inodes[i].size);
		state.files[i].size = disk.inodes[i].size;
	}
	if (disk.n_entries > 0)
		memcpy(state.entries, disk.entries, disk.n_entries * sizeof(*disk.entries));
	state.n_entries = disk.n_entries;
	for (size_t i = 0; i < moment; i++) {
		const struct operation *operation = &disk.operations[i];

		if (operation->kind == WRITE)
			apply_write(&state, operation);
		else if (operation->kind == RESIZE)
			apply_resize(&state, operation);
		else
			apply_names(&state, operation);
	}
	ck_assert_int_eq(__real_mkdir(root, 0700), 0);
	fd = __real_openat64(AT_FDCWD, root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_directory(&state, 0, fd);
	close(fd);
	for (size_t i = 0; i < disk.n_inodes; i++)
		free(state.files[i].data);
	free(state.files);
	free(state.entries);
	return state.hash;
}

size_t torn_disk_decisions(size_t moment)
{
	size_t n = 0;

	for (size_t i = 0; i < moment; i++) {
		const struct operation *operation = &disk.operations[i];

		if (operation->safe <= moment)
			continue;
		n++;
		if (operation->kind == WRITE)
			n += (operation->offset % TORN_SECTOR + operation->n + TORN_SECTOR - 1) / TORN_SECTOR;
	}
	return n;
}
