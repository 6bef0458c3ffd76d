/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cost of many peers in every window: parsing them, the step from one reading to the next, and the owners
 * of endpoints, for growing numbers of peers and allowed IPs. Prints figures, judges none.
 */

#include "common/buffer.h"
#include "daemon/device/peers/uapi_format.h"
#include "daemon/device/underlay/owners.h"
#include "daemon/device/wireguard/account.h"
#include "daemon/logger/peer_traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void write_answer(struct buffer *buffer, unsigned int peers, unsigned int allowed, unsigned int bytes)
{
	buffer_reset(buffer);
	buffer_append_text(buffer, "listen_port=51820\n");
	for (unsigned int i = 0; i < peers; i++) {
		buffer_printf(buffer, "public_key=%08x%056x\n", i * 2654435761U, i);
		buffer_printf(buffer, "endpoint=192.%u.%u.%u:51820\n", i >> 16, i >> 8 & 255, i & 255);
		buffer_printf(buffer, "last_handshake_time_sec=1700000000\ntx_bytes=%u\nrx_bytes=%u\n", bytes,
			      bytes);
		for (unsigned int j = 0; j < allowed; j++)
			buffer_printf(buffer, "allowed_ip=10.%u.%u.%u/32\n", (i * allowed + j) >> 16 & 255,
				      (i * allowed + j) >> 8 & 255, (i * allowed + j) & 255);
	}
	buffer_append_text(buffer, "errno=0\n\n");
}

static int read_answer(const struct buffer *buffer, struct wg_peers *peers)
{
	struct uapi_answer answer = {};
	int r = uapi_answer_feed(&answer, buffer->data, buffer->length, peers);

	uapi_answer_deinit(&answer);
	wg_peers_sort(peers);
	return r;
}

static int take_change(const struct wg_change *change, void *userdata)
{
	*(uint64_t *)userdata += change->tx_bytes + wg_peer_tailnet_address(change->peer).bytes[3];
	return 0;
}

static int measure(unsigned int n_peers, unsigned int allowed)
{
	_cleanup_(wg_account_freep) struct wg_account *account = NULL;
	_cleanup_(endpoint_owners_deinit) struct endpoint_owners owners = {};
	_cleanup_wg_peers_ struct wg_peers first = {}, second = {};
	_cleanup_buffer_ struct buffer buffer = {};
	double times[4];
	uint64_t sum = 0;
	int r;

	write_answer(&buffer, n_peers, allowed, 1000);
	r = wg_account_new(&account);
	if (r == 0)
		r = read_answer(&buffer, &first);
	if (r == 0)
		r = wg_account_baseline(account, &first, 0, 0);
	write_answer(&buffer, n_peers, allowed, 2000);
	times[0] = cpu_ms();
	if (r == 0)
		r = read_answer(&buffer, &second);
	times[1] = cpu_ms();
	if (r == 0)
		r = endpoint_owners_make(wg_account_peers(account), &second, &owners);
	times[2] = cpu_ms();
	if (r == 0)
		r = wg_account_step(account, &second, 1, take_change, &sum);
	times[3] = cpu_ms();
	printf("%6u peers, %6u allowed IPs each: read %8.3f ms, owners %7.3f ms, step %7.3f ms%s\n", n_peers,
	       allowed, times[1] - times[0], times[2] - times[1], times[3] - times[2],
	       sum ? "" : " (nothing)");
	return r;
}

/* --- metrics --- */

struct fake {
	struct device device;
	struct wg_peers peers;
	uint64_t identities;
};

static void fake_foreach_peer(struct device *device,
			      void (*peer)(const struct device_peer *peer, void *userdata), void *userdata)
{
	struct fake *fake = (struct fake *)device;

	for (size_t i = 0; i < fake->peers.n; i++) {
		const struct wg_peer *from = &fake->peers.items[i];
		char id[WG_PEER_ID_MAX], name[DEVICE_PEER_SHORT + 1];
		const struct device_peer to = {.id = id,
					       .name = name,
					       .path = DEVICE_PATH_DIRECT,
					       .allowed_ips = &from->allowed_ips};

		wg_peer_id(from->public_key, id);
		snprintf(name, sizeof(name), "%.*s", DEVICE_PEER_SHORT, id);
		peer(&to, userdata);
	}
}

static uint64_t fake_identities(struct device *device)
{
	return ((struct fake *)device)->identities;
}

/* What the metrics add to a window in which every peer has traffic. */
static int measure_metrics(unsigned int n_peers, unsigned int allowed)
{
	static const struct device_ops ops = {.foreach_peer = fake_foreach_peer,
					      .identities = fake_identities};
	_cleanup_(peer_traffic_freep) struct peer_traffic *traffic = NULL;
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = NULL;
	_cleanup_buffer_ struct buffer buffer = {};
	struct fake fake = {.device.ops = &ops};
	double times[6];
	int r = peer_traffic_new(&traffic);

	write_answer(&buffer, n_peers, allowed, 1000);
	if (r == 0)
		r = read_answer(&buffer, &fake.peers);
	if (r < 0)
		return r;
	peer_traffic_set_max(traffic, 100);
	times[0] = cpu_ms();
	peer_traffic_follow(traffic, &fake.device, NULL);
	times[1] = cpu_ms();
	peer_traffic_follow(traffic, &fake.device, NULL);
	times[2] = cpu_ms();
	for (size_t i = 0; i < fake.peers.n; i++) {
		const struct address source = wg_peer_tailnet_address(&fake.peers.items[i]);

		peer_traffic_add(traffic, &source, &(struct counts){.tx_bytes = i + 1});
	}
	times[3] = cpu_ms();
	peer_traffic_end_window(traffic, 0);
	times[4] = cpu_ms();
	samples = peer_traffic_sample(traffic);
	times[5] = cpu_ms();
	printf("%6u peers, %6u allowed IPs each: metrics: new peers %.3f ms, the same peers %.3f ms, an entry of each "
	       "%.3f ms, who is shown (every two minutes) %.3f ms, sample %.3f ms\n",
	       n_peers, allowed, times[1] - times[0], times[2] - times[1], times[3] - times[2],
	       times[4] - times[3], times[5] - times[4]);
	wg_peers_deinit(&fake.peers);
	return samples ? 0 : -ENOMEM;
}

int main(void)
{
	static const unsigned int sizes[][2] = {{10, 1},    {100, 1},	{1000, 1},  {10000, 1},
						{1000, 10}, {100, 100}, {10, 1000}, {1, 10000}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int r = measure(sizes[i][0], sizes[i][1]);

		if (r < 0) {
			fprintf(stderr, "bench-peers: error %d\n", -r);
			return EXIT_FAILURE;
		}
	}
	if (measure_metrics(100, 1) < 0 || measure_metrics(2000, 10) < 0 || measure_metrics(10000, 1) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
