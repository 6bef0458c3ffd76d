/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl format reads what others stored: any bytes give a table or an error, never control characters. */

#include "common/cleanup.h"
#include "control/commands/dispatch.h"
#include "tests/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *const lines[][5] = {
		{(char *)"netlogctl", (char *)"format", NULL},
		{(char *)"netlogctl", (char *)"format", (char *)"--resolve", (char *)"--details", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *out = NULL, *err = NULL;
		size_t n_out, n_err;
		struct ctl ctl = {
			.in = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r")
				       : fopen("/dev/null", "r"),
			.out = open_memstream(&out, &n_out),
			.err = open_memstream(&err, &n_err),
		};
		int status;

		REQUIRE(ctl.in && ctl.out && ctl.err);
		status = ctl_main(&ctl, i == 0 ? 2 : 4, (char **)lines[i]);
		fclose(ctl.in);
		fclose(ctl.out);
		fclose(ctl.err);
		REQUIRE(status == CTL_OK || status == CTL_FAILED);
		REQUIRE(status == CTL_OK || n_err > 0);
		for (size_t j = 0; j < n_out; j++)
			REQUIRE((uint8_t)out[j] >= 0x20 || out[j] == '\n');
	}
	return 0;
}
