/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Stands in for libbpf's header of that name where a program is compiled for user space (user_maps.h). */

#include "tests/unit/daemon/device/support/user_maps.h"

#include <linux/types.h>

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))

#define bpf_map_lookup_elem(map, key)		    user_map_lookup(map, key)
#define bpf_get_smp_processor_id()		    user_cpu
#define bpf_ringbuf_output(ring, data, size, flags) ((void)(data))
