/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that counts nothing, in place of one that is not configured. */

#include "daemon/device/device.h"

#include <errno.h>
#include <stdlib.h>

static void none_free(struct device *device)
{
	free(device);
}

static int none_set_statistics_enabled(struct device *device, bool enabled)
{
	device->enabled = enabled;
	return 0;
}

static int none_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	(void)device;
	*ret_extraction = (struct extraction){};
	return 0;
}

static void none_get_info(struct device *device, struct device_info *ret_info)
{
	(void)device;
	*ret_info = (struct device_info){.source = SOURCE_NONE};
}

static const struct device_ops none_ops = {
	.name = "none",
	.source = SOURCE_NONE,
	.free = none_free,
	.set_statistics_enabled = none_set_statistics_enabled,
	.extract_statistics = none_extract_statistics,
	.get_info = none_get_info,
};

int device_none_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	struct device *device = calloc(1, sizeof(*device));

	(void)ret_reason;
	if (!device)
		return -ENOMEM;
	device->ops = &none_ops;
	device->layer = options->layer;
	*ret_device = device;
	return 0;
}
