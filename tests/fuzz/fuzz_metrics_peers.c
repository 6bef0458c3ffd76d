/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers with any IDs and names, in readings one after the other: the metrics are always such that Prometheus
 * takes them, no two samples have the same labels, and all traffic is counted once.
 *
 * The input: a line for each peer, "ID<tab>NAME"; an empty line ends a reading.
 */

#include "common/buffer.h"
#include "common/plain_text.h"
#include "common/time_text.h"
#include "daemon/logger/peer_traffic.h"
#include "daemon/metrics/peers.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fake {
	struct device device;
	size_t n;
	char *ids[PEERS_MAX], *names[PEERS_MAX];
};

static void fake_foreach_peer(struct device *device,
			      void (*peer)(const struct device_peer *peer, void *userdata), void *userdata)
{
	struct fake *fake = (struct fake *)device;

	for (size_t i = 0; i < fake->n; i++) {
		struct prefix prefix = {.address = address_ipv4((uint8_t[4]){100, 64, 0, (uint8_t)i}),
					.length = 32};
		const struct prefix_list allowed = {.items = &prefix, .n = 1};
		const struct device_peer to = {.id = fake->ids[i],
					       .name = fake->names[i],
					       .path = i % PEER_PATHS,
					       .allowed_ips = &allowed};

		peer(&to, userdata);
	}
}

/* The text has no NUL: it ends where the input does. */
static char *copy(const char *text, size_t n)
{
	char *result = strndup(text, n);

	if (!result)
		abort();
	return result;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Samples differ in what is before their last space. */
static void check_text(char *text)
{
	char **samples = calloc(strlen(text) + 1, sizeof(*samples));
	size_t n = 0;

	if (!samples)
		abort();
	for (const char *c = text; *c; c += plain_text_character(c))
		if (plain_text_character(c) == 0 ||
		    (*c != '\n' && plain_text_is_control(c, plain_text_character(c))))
			abort();
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end = strrchr(line, ' ');

		if (*line == '#')
			continue;
		if (!end || strspn(end + 1, "0123456789.") != strlen(end + 1))
			abort();
		*end = '\0';
		samples[n++] = line;
	}
	if (n)
		qsort(samples, n, sizeof(*samples), compare_lines);
	for (size_t i = 1; i < n; i++)
		if (strcmp(samples[i - 1], samples[i]) == 0)
			abort();
	free(samples);
}

static void pass_window(struct peer_traffic *traffic, struct fake *fake, int64_t now, uint64_t *counted)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = NULL;
	_cleanup_buffer_ struct buffer text = {};
	uint64_t sum;

	peer_traffic_follow(traffic, &fake->device, NULL);
	for (size_t i = 0; i < fake->n; i++) {
		const struct address source = address_ipv4((uint8_t[4]){100, 64, 0, (uint8_t)i});

		peer_traffic_add(traffic, &source, &(struct counts){.tx_bytes = i + 1});
		*counted += i + 1;
	}
	peer_traffic_end_window(traffic, now);
	samples = peer_traffic_sample(traffic);
	if (!samples)
		abort();
	sum = samples->withdrawn.tx_bytes;
	for (size_t path = 0; path < PEER_PATHS; path++) {
		sum += samples->other[path].tx_bytes;
		for (size_t i = 0; i < samples->n; i++)
			sum += samples->items[i].counts[path].tx_bytes;
	}
	if (sum != *counted)
		abort();
	metrics_write_peers(&text, samples);
	buffer_append_char(&text, '\0');
	if (buffer_error(&text))
		abort();
	check_text(text.data);
}

static void forget(struct fake *fake)
{
	for (size_t i = 0; i < fake->n; i++) {
		free(fake->ids[i]);
		free(fake->names[i]);
	}
	fake->n = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct device_ops ops = {.foreach_peer = fake_foreach_peer};
	_cleanup_(peer_traffic_freep) struct peer_traffic *traffic = NULL;
	struct fake fake = {.device.ops = &ops};
	const char *line = (const char *)data, *end = line + n;
	uint64_t counted = 0;
	int64_t now = 0;

	if (peer_traffic_new(&traffic) < 0)
		abort();
	peer_traffic_set_max(traffic, 3);
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t length = (size_t)((stop ? stop : end) - line);
		const char *tab = memchr(line, '\t', length);

		if (length == 0) {
			pass_window(traffic, &fake, now += 70 * NSEC_PER_SEC, &counted);
			forget(&fake);
		} else if (fake.n < PEERS_MAX) {
			size_t id = tab ? (size_t)(tab - line) : length;

			fake.ids[fake.n] = copy(line, id);
			fake.names[fake.n++] = tab ? copy(tab + 1, length - id - 1) : copy("", 0);
		}
		line += length + 1;
	}
	pass_window(traffic, &fake, now + 70 * NSEC_PER_SEC, &counted);
	forget(&fake);
	return 0;
}
