/* SPDX-License-Identifier: BSD-3-Clause */
/* A request to the metrics port: whatever bytes it has, the answer is one of a few. */

#include "daemon/upload/metrics_http.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool head;
	int status = metrics_http_judge((const char *)data, n, &head);

	if (status != 200 && status != 400 && status != 404 && status != 405)
		abort();
	if (head && status != 200 && status != 404)
		abort();
	return 0;
}
