/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics come from the same Status that the control interface shows, so that the two never differ; only
 * those of single peers do not, since everybody may see Status.
 */

#include "daemon/metrics.h"

#include "common/buffer.h"
#include "common/log.h"
#include "daemon/logger/peer_traffic.h"
#include "daemon/metrics/peers.h"
#include "daemon/metrics/process.h"
#include "daemon/metrics/status.h"
#include "daemon/state.h"
#include "daemon/status.h"
#include "daemon/textfile.h"

/* What node_exporter tells of itself is on the same page as what it finds in files, under the same names. */
#define FILE_PREFIX "netlogd_"

/* All but what every program has. */
static json_t *write_metrics(struct daemon *daemon, bool with_peers, struct buffer *text)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *peers =
		with_peers ? logger_thread_peer_samples(daemon->logger) : NULL;
	json_t *status = status_new(daemon);

	if (!status)
		return NULL;
	metrics_write_status(text, status);
	metrics_write_peers(text, peers);
	return status;
}

static char *with_process(const struct buffer *metrics, const json_t *status, const char *prefix)
{
	_cleanup_buffer_ struct buffer text = {};

	buffer_append(&text, metrics->data, metrics->length);
	metrics_write_process_status(&text, status, prefix);
	metrics_write_process(&text, prefix);
	return buffer_error(metrics) ? NULL : buffer_take(&text, NULL);
}

char *metrics_new(struct daemon *daemon, bool with_peers)
{
	_cleanup_buffer_ struct buffer metrics = {};
	json_auto_t *status = write_metrics(daemon, with_peers, &metrics);

	return status ? with_process(&metrics, status, "") : NULL;
}

static void publish_to_file(struct daemon *daemon, const struct buffer *metrics, const json_t *status)
{
	char *text = with_process(metrics, status, FILE_PREFIX);

	if (!text || textfile_write(daemon, text) < 0)
		log_warning("%s: out of memory: these metrics are not written",
			    daemon->config->metrics_textfile);
}

void metrics_publish(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	/* A disk that hangs costs its own figures, no more. */
	bool to_file = config->metrics_textfile && !daemon->textfile_pending;
	_cleanup_buffer_ struct buffer metrics = {};
	_cleanup_free_ char *text = NULL;
	json_auto_t *status = NULL;

	if (!config->metrics_listen && !to_file)
		return;
	status = write_metrics(daemon, true, &metrics);
	if (!status)
		return;
	if (config->metrics_listen)
		text = with_process(&metrics, status, "");
	if (text)
		uploader_link_set_metrics(daemon->uploader, text);
	if (to_file)
		publish_to_file(daemon, &metrics, status);
}
