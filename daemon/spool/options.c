/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer owns a copy of its settings, so that a reload replaces them as a whole. */

#include "daemon/spool/options.h"

#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

#define MEMORY_MAX     (UINT64_C(16) << 20)
#define SYNC_BYTES     (UINT64_C(4) << 20)
#define RETRY_INTERVAL NSEC_PER_SEC

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Appends a text to the block. */
static char *copy_text(const char *text, char **end)
{
	char *copy = *end;

	if (!text)
		return NULL;
	*end = stpcpy(copy, text) + 1;
	return copy;
}

int spool_options_copy(const struct spool_writer_options *options, struct spool_writer_options **ret_copy)
{
	/* In this order, so that all is aligned. */
	struct {
		struct spool_writer_options options;
		char *sinks[];
	} * block;
	size_t n = 0, size;
	char *end;

	size = text_size(options->directory) + text_size(options->upload_directory) +
	       text_size(options->machine_id_file) + text_size(options->boot_id_file);
	for (; options->sinks && options->sinks[n]; n++)
		size += text_size(options->sinks[n]);
	block = malloc(sizeof(*block) + (n + 1) * sizeof(*block->sinks) + size);
	if (!block)
		return -ENOMEM;
	end = (char *)&block->sinks[n + 1];
	for (size_t i = 0; i < n; i++)
		block->sinks[i] = copy_text(options->sinks[i], &end);
	block->sinks[n] = NULL;
	block->options = *options;
	block->options.sinks = block->sinks;
	block->options.directory = copy_text(options->directory, &end);
	block->options.upload_directory = copy_text(options->upload_directory, &end);
	block->options.machine_id_file = copy_text(options->machine_id_file, &end);
	block->options.boot_id_file = copy_text(options->boot_id_file, &end);
	block->options.memory_max = options->memory_max ?: MEMORY_MAX;
	block->options.sync_bytes = options->sync_bytes ?: SYNC_BYTES;
	block->options.retry_interval = options->retry_interval ?: RETRY_INTERVAL;
	block->options.file_mode = options->file_mode ?: 0600;
	*ret_copy = &block->options;
	return 0;
}

uint64_t spool_options_reserve(const struct spool_writer_options *options)
{
	return config_spool_reserve(options->max_size);
}

uint64_t spool_options_usable(const struct spool_writer_options *options)
{
	return config_spool_usable(options->max_size);
}
