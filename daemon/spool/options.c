/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's own copy of its settings: a reload exchanges it as a whole. */

#include "daemon/spool/options.h"

#include "common/time_text.h"

#include <errno.h>
#include <string.h>

#define MEMORY_MAX     (UINT64_C(16) << 20)
#define SYNC_BYTES     (UINT64_C(4) << 20)
#define RETRY_INTERVAL NSEC_PER_SEC

void spool_options_free(struct spool_writer_options *options)
{
	if (!options)
		return;
	free((char *)options->directory);
	free((char *)options->upload_directory);
	free((char *)options->machine_id_file);
	free((char *)options->boot_id_file);
	for (size_t i = 0; options->sinks && options->sinks[i]; i++)
		free(options->sinks[i]);
	free((void *)options->sinks);
	free(options);
}
static int copy_text(const char **text)
{
	if (!*text)
		return 0;
	*text = strdup(*text);
	return *text ? 0 : -ENOMEM;
}

static int copy_sinks(struct spool_writer_options *copy, char *const *sinks)
{
	size_t n = 0;
	char **names;

	while (sinks && sinks[n])
		n++;
	names = calloc(n + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	copy->sinks = names;
	for (size_t i = 0; i < n; i++) {
		names[i] = strdup(sinks[i]);
		if (!names[i])
			return -ENOMEM;
	}
	return 0;
}

int spool_options_copy(const struct spool_writer_options *options, struct spool_writer_options **ret_copy)
{
	_cleanup_(spool_options_freep) struct spool_writer_options *copy = calloc(1, sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *options;
	copy->sinks = NULL;
	/* All, so that none is left that is not its own. */
	r = copy_text(&copy->directory);
	r = copy_text(&copy->upload_directory) ?: r;
	r = copy_text(&copy->machine_id_file) ?: r;
	r = copy_text(&copy->boot_id_file) ?: r;
	r = r ?: copy_sinks(copy, options->sinks);
	if (r < 0)
		return r;
	copy->memory_max = copy->memory_max ?: MEMORY_MAX;
	copy->sync_bytes = copy->sync_bytes ?: SYNC_BYTES;
	copy->retry_interval = copy->retry_interval ?: RETRY_INTERVAL;
	copy->file_mode = copy->file_mode ?: 0600;
	*ret_copy = TAKE_PTR(copy);
	return 0;
}
