/* What all sources share: little, since a device is known only by its two operations. */

#include "daemon/device/device.h"

void extraction_deinit(struct extraction *extraction)
{
	flows_deinit(&extraction->flows);
	*extraction = (struct extraction){};
}
