/* What a VPN answers on its stats socket. */

#include "daemon/device/stats_reply.h"
#include "tests/fuzz/fuzz_support.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *parameters = json_loadb((const char *)data, size, 0, NULL);
	struct extraction extraction = {};
	int r;

	if (!parameters)
		return 0;
	r = stats_reply_read(parameters, 3, &extraction);
	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(extraction.flows.n <= 3);
	for (size_t i = 0; i < extraction.flows.n; i++) {
		REQUIRE(!counts_is_zero(&extraction.flows.items[i].counts));
		REQUIRE(extraction.flows.items[i].counts.tx_bytes <= COUNT_MAX);
	}
	extraction_deinit(&extraction);
	json_decref(parameters);
	return 0;
}
