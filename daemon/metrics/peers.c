/* SPDX-License-Identifier: BSD-3-Clause */
/* One family after the other, as the format asks for, hence a pass over the peers for each. */

#include "daemon/metrics/peers.h"

#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/logger/peer_traffic.h"
#include "daemon/metrics/exposition.h"

static const char *path_name(size_t path)
{
	return path == DEVICE_PATH_UNKNOWN ? "unknown" : device_path_name(path);
}

static void write_counts(struct buffer *text, const char *name, const char *peer, size_t path,
			 const struct counts *counts, bool bytes)
{
	struct label labels[] = {{"peer", peer}, {"path", path_name(path)}, {"direction", "tx"}, {NULL}};

	exposition_integer(text, name, labels, (int64_t)(bytes ? counts->tx_bytes : counts->tx_packets));
	labels[2].value = "rx";
	exposition_integer(text, name, labels, (int64_t)(bytes ? counts->rx_bytes : counts->rx_packets));
}

static void write_traffic(struct buffer *text, const struct peer_samples *samples, const char *name,
			  const char *help, bool bytes)
{
	exposition_family(text, name, "counter", help);
	for (size_t i = 0; i < samples->n; i++)
		for (size_t path = 0; path < PEER_PATHS; path++)
			if (samples->items[i].has[path])
				write_counts(text, name, samples->items[i].label, path,
					     &samples->items[i].counts[path], bytes);
	for (size_t path = 0; path < PEER_PATHS; path++)
		write_counts(text, name, "other", path, &samples->other[path], bytes);
}

static void write_withdrawn(struct buffer *text, const char *name, const char *help, uint64_t tx, uint64_t rx)
{
	const struct label sent[] = {{"direction", "tx"}, {NULL}}, received[] = {{"direction", "rx"}, {NULL}};

	exposition_family(text, name, "gauge", help);
	exposition_integer(text, name, sent, (int64_t)tx);
	exposition_integer(text, name, received, (int64_t)rx);
}

static void write_handshakes(struct buffer *text, const struct peer_samples *samples)
{
	static const char name[] = "netlogd_peer_last_handshake_timestamp_seconds";

	exposition_family(text, name, "gauge", "When the peer last completed a handshake.");
	for (size_t i = 0; i < samples->n; i++) {
		const struct label labels[] = {{"peer", samples->items[i].label}, {NULL}};

		if (!samples->items[i].gone && samples->items[i].last_handshake > 0)
			exposition_number(text, name, labels,
					  (double)(samples->items[i].last_handshake / NSEC_PER_MSEC) / 1000);
	}
}

static void write_paths(struct buffer *text, const struct peer_samples *samples)
{
	exposition_family(text, "netlogd_peer_path", "gauge",
			  "How the peer is reached: 1 for the path in use, with the relay's region.");
	for (size_t i = 0; i < samples->n; i++) {
		const struct peer_sample *peer = &samples->items[i];

		for (size_t path = 0; !peer->gone && path < PEER_PATHS; path++) {
			bool used = path == peer->path;
			const struct label labels[] = {{"peer", peer->label},
						       {"path", path_name(path)},
						       {"via", used ? peer->via : NULL},
						       {NULL}};

			exposition_integer(text, "netlogd_peer_path", labels, used);
		}
	}
}

void metrics_write_peers(struct buffer *text, const struct peer_samples *samples)
{
	if (!samples)
		return;
	write_traffic(text, samples, "netlogd_peer_traffic_packets_total",
		      "Packets of physical traffic by peer; other: all peers not shown.", false);
	write_traffic(text, samples, "netlogd_peer_traffic_bytes_total",
		      "Bytes of physical traffic by peer; other: all peers not shown.", true);
	write_withdrawn(text, "netlogd_peer_traffic_withdrawn_packets",
			"Packets of counters that were shown once and are not now.",
			samples->withdrawn.tx_packets, samples->withdrawn.rx_packets);
	write_withdrawn(text, "netlogd_peer_traffic_withdrawn_bytes",
			"Bytes of counters that were shown once and are not now.",
			samples->withdrawn.tx_bytes, samples->withdrawn.rx_bytes);
	write_handshakes(text, samples);
	write_paths(text, samples);
}
