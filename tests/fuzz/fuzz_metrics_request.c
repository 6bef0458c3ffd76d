/* SPDX-License-Identifier: BSD-3-Clause */
/* A request to the metrics port: whatever bytes it has, the answer is one of a few. */

#include "daemon/upload/metrics_http.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool head;
	int status = metrics_http_judge((const char *)data, n, &head);

	if (status != 200 && status != 400 && status != 404 && status != 405)
		abort();
	/* Its answer has no body, whatever the answer is. */
	if (head != (n >= 5 && memcmp(data, "HEAD ", 5) == 0) || (head && status == 405))
		abort();
	return 0;
}
