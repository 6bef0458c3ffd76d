/* SPDX-License-Identifier: BSD-3-Clause */
/* The kill points of a release: none. */

#include "common/kill_point.h"

void kill_point(const char *name)
{
	(void)name;
}

size_t kill_point_cut(const char *name, size_t n)
{
	(void)name;
	return n;
}
