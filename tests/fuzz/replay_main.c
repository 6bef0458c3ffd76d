/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for libFuzzer in normal builds: runs a fuzz target over every file of its corpus, so that each
 * input that once found a fault stays a test. Each file is given whole and, where it is short, cut after
 * every byte, in memory of exactly that size (the sanitizers see a read beyond it).
 */

#include "common/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX	  (4 << 20)
#define PREFIXES_SIZE_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return -1;
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	return 0;
}

static int replay_file(int directory, const char *name)
{
	_cleanup_free_ uint8_t *data = malloc(FILE_SIZE_MAX);
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (!data || fd < 0)
		return -1;
	size = read(fd, data, FILE_SIZE_MAX);
	if (size < 0)
		return -1;
	if (size <= PREFIXES_SIZE_MAX)
		for (size_t n = 0; n < (size_t)size; n++)
			if (run(data, n) < 0)
				return -1;
	return run(data, (size_t)size);
}

int main(int argc, char **argv)
{
	unsigned int n = 0;
	struct dirent *entry;
	DIR *corpus;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 2;
	}
	corpus = opendir(argv[1]);
	if (!corpus) {
		perror(argv[1]);
		return 1;
	}
	while ((entry = readdir(corpus))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(dirfd(corpus), entry->d_name) < 0) {
			perror(entry->d_name);
			closedir(corpus);
			return 1;
		}
		n++;
	}
	closedir(corpus);
	printf("%u inputs\n", n);
	return n > 0 ? 0 : 1;
}
