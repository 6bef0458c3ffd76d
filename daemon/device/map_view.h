/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A part of a BPF map (BPF_F_MMAPABLE) as memory. What is mapped counts as this process's. */

#include <stddef.h>
#include <stdint.h>

struct map_view {
	void *pages;
	size_t length;
	void *data;
};

/* Bytes from `first` on. 0 or -errno. */
int map_view_init(struct map_view *view, int fd, uint64_t first, size_t length);
void map_view_deinit(struct map_view *view);
