/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file: any bytes give a configuration or an error in an existing line. */

#include "common/config/load.h"
#include "tests/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error error = {};
	struct config *config = NULL;
	size_t lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (config_parse("input", (const char *)data, size, &config, &error) < 0) {
		REQUIRE(!config);
		REQUIRE(error.reason);
		REQUIRE(error.line <= lines);
		config_error_deinit(&error);
		return 0;
	}
	REQUIRE(!error.reason);
	REQUIRE(config->state_directory && config->spool_directory && config->upload_directory);
	for (size_t i = 0; i < config->n_sinks; i++)
		REQUIRE(config->sinks[i].name && config->sinks[i].line <= lines);
	REQUIRE(!config_restart_needed(config, config));
	config_free(config);
	return 0;
}
