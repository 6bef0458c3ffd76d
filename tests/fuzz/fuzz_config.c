/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file: any bytes give a configuration or an error in an existing line, and a control
 * socket if it is right or the error is elsewhere.
 */

#include "common/config/load.h"
#include "tests/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error error = {};
	char *socket = config_find_control_socket((const char *)data, size);
	struct config *config = NULL;
	size_t lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (config_parse("input", (const char *)data, size, &config, &error) < 0) {
		REQUIRE(!config);
		REQUIRE(error.reason);
		REQUIRE(error.line <= lines);
		REQUIRE(!socket || socket[0] == '/');
		free(socket);
		config_error_deinit(&error);
		return 0;
	}
	REQUIRE(!error.reason);
	REQUIRE(socket && strcmp(socket, config->control_socket) == 0);
	free(socket);
	REQUIRE(config->state_directory && config->spool_directory && config->upload_directory);
	for (size_t i = 0; i < config->n_sinks; i++)
		REQUIRE(config->sinks[i].name && config->sinks[i].line <= lines);
	REQUIRE(!config_restart_needed(config, config));
	config_free(config);
	return 0;
}
