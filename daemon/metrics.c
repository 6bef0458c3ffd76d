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

char *metrics_new(struct daemon *daemon, bool with_peers)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *peers =
		with_peers ? logger_thread_peer_samples(daemon->logger) : NULL;
	_cleanup_buffer_ struct buffer text = {};
	json_t *status = status_new(daemon);

	if (!status)
		return NULL;
	metrics_write_status(&text, status);
	json_decref(status);
	metrics_write_process(&text);
	metrics_write_peers(&text, peers);
	return buffer_take(&text, NULL);
}

void metrics_publish(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	/* A disk that hangs costs its own figures, no more. */
	bool to_file = config->metrics_textfile && !daemon->textfile_pending;
	_cleanup_free_ char *text = NULL;

	if (!config->metrics_listen && !to_file)
		return;
	text = metrics_new(daemon, true);
	if (!text)
		return;
	if (config->metrics_listen)
		uploader_link_set_metrics(daemon->uploader, text);
	if (to_file && textfile_write(daemon, TAKE_PTR(text)) < 0)
		log_warning("%s: out of memory: these metrics are not written", config->metrics_textfile);
}
