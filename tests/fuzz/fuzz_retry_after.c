/* SPDX-License-Identifier: BSD-3-Clause */
/* Retry-After: whatever a server sends, the wait is bounded. */

#include "daemon/upload/http/answer.h"
#include "daemon/upload/sink/backoff.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const int64_t times[] = {0, INT64_C(1665692594000000000), INT64_C(9000000000000000000)};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t wait = answer_parse_retry_after((const char *)data, n, times[i]);

		if (wait < -1 || wait > BACKOFF_RETRY_AFTER)
			abort();
	}
	return 0;
}
