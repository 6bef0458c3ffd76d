/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs read one __u32 from an array map that is also mapped here, so the flip is a plain store. The
 * wait borrows one of the kernel's: an update of a map of maps returns only when every program that began
 * before it has ended, on all supported kernels.
 */

#include "daemon/device/epoch.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

struct epoch {
	int map_fd;
	int wait_fd;
	uint32_t *value; /* the map's only element; one page mapped */
	size_t mapped;
	bool waited; /* since the last flip */
};

int epoch_new(struct epoch **ret_epoch)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	LIBBPF_OPTS(bpf_map_create_opts, outer_options);
	_cleanup_(epoch_freep) struct epoch *epoch = calloc(1, sizeof(*epoch));
	void *value;

	if (!epoch)
		return -ENOMEM;
	epoch->wait_fd = -1;
	epoch->mapped = (size_t)sysconf(_SC_PAGESIZE);
	epoch->waited = true;
	epoch->map_fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "epoch", sizeof(uint32_t), sizeof(uint32_t), 1, &options);
	if (epoch->map_fd < 0)
		return -errno;
	value = mmap(NULL, epoch->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, epoch->map_fd, 0);
	if (value == MAP_FAILED)
		return -errno;
	epoch->value = value;
	outer_options.inner_map_fd = (uint32_t)epoch->map_fd;
	epoch->wait_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "epoch_wait", sizeof(uint32_t),
					sizeof(uint32_t), 1, &outer_options);
	if (epoch->wait_fd < 0)
		return -errno;
	*ret_epoch = TAKE_PTR(epoch);
	return 0;
}

void epoch_free(struct epoch *epoch)
{
	if (!epoch)
		return;
	if (epoch->value)
		munmap(epoch->value, epoch->mapped);
	safe_close(epoch->wait_fd);
	safe_close(epoch->map_fd);
	free(epoch);
}

int epoch_map_fd(const struct epoch *epoch)
{
	return epoch->map_fd;
}

void epoch_flip(struct epoch *epoch)
{
	__atomic_store_n(epoch->value, *epoch->value ^ 1, __ATOMIC_SEQ_CST);
	epoch->waited = false;
}

unsigned int epoch_old_side(const struct epoch *epoch)
{
	return *epoch->value & 1 ? 0 : 1;
}

int epoch_synchronize(struct epoch *epoch)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(epoch->wait_fd, &zero, &epoch->map_fd, BPF_ANY) ? -errno : 0;
}

int epoch_wait(struct epoch *epoch)
{
	int r;

	if (epoch->waited)
		return 0;
	r = epoch_synchronize(epoch);
	if (r < 0)
		return r;
	epoch->waited = true;
	return 0;
}
