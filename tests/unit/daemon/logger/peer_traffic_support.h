/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A tunnel whose peers the test makes, and the windows in which they have traffic. */

#include "common/time_text.h"
#include "daemon/logger/peer_traffic.h"

#include <check.h>
#include <stdio.h>

#define SECOND NSEC_PER_SEC
#define MINUTE (60 * SECOND)
#define TURN   (120 * SECOND) /* who is shown may change */
#define WALL   (INT64_C(1700000000) * SECOND)

#define FAKE_MAX 64

struct fake_peer {
	char id[32], name[32], via[16];
	bool present, self;
	enum device_path path;
	int64_t last_handshake, last_seen;
	struct prefix prefix; /* its one allowed IP */
	struct address source;
};

static struct fake_device {
	struct device device;
	struct fake_peer peers[FAKE_MAX];
	uint64_t identities;
	unsigned int readings; /* of all of it */
} fake;

static struct peer_traffic *traffic;
static int64_t now;

static inline void fake_foreach_peer(struct device *device,
				     void (*peer)(const struct device_peer *peer, void *userdata),
				     void *userdata)
{
	ck_assert_ptr_eq(device, &fake.device);
	for (size_t i = 0; i < FAKE_MAX; i++) {
		struct fake_peer *from = &fake.peers[i];
		const struct prefix_list allowed = {.items = &from->prefix, .n = 1};
		const struct device_peer to = {
			.id = from->id,
			.name = from->name,
			.self = from->self,
			.path = from->path,
			.via = *from->via ? from->via : NULL,
			.last_handshake = from->last_handshake,
			.last_seen = from->last_seen,
			.allowed_ips = &allowed,
			.source = from->source,
		};

		if (from->present)
			peer(&to, userdata);
	}
}

static inline uint64_t fake_identities(struct device *device)
{
	ck_assert_ptr_eq(device, &fake.device);
	return fake.identities;
}

static const struct device_ops fake_ops = {.foreach_peer = fake_foreach_peer, .identities = fake_identities};
static const struct device_ops fake_ops_without = {.foreach_peer = fake_foreach_peer};

static inline struct address address_of(size_t i)
{
	return address_ipv4((uint8_t[4]){100, 64, (uint8_t)(i >> 8), (uint8_t)i});
}

static inline void set_up(void)
{
	fake = (struct fake_device){.device.ops = &fake_ops};
	for (size_t i = 0; i < FAKE_MAX; i++) {
		struct fake_peer *peer = &fake.peers[i];

		snprintf(peer->id, sizeof(peer->id), "id%03zu", i);
		snprintf(peer->name, sizeof(peer->name), "peer%03zu", i);
		peer->prefix = (struct prefix){.address = address_of(i), .length = 32};
		peer->path = DEVICE_PATH_DIRECT;
	}
	now = 3600 * SECOND;
	ck_assert_int_eq(peer_traffic_new(&traffic), 0);
}

static inline void tear_down(void)
{
	peer_traffic_free(traffic);
	traffic = NULL;
}

static inline void have(size_t n)
{
	for (size_t i = 0; i < n; i++)
		fake.peers[i].present = true;
	fake.identities++;
}

static inline void begin_window(void)
{
	peer_traffic_follow(traffic, &fake.device, NULL);
}

static inline void end_window(int64_t length)
{
	now += length;
	peer_traffic_end_window(traffic, now);
}

static inline void add(size_t peer, uint64_t tx, uint64_t rx)
{
	const struct address source = address_of(peer);
	const struct counts counts = {
		.tx_packets = tx ? 1 : 0, .tx_bytes = tx, .rx_packets = rx ? 1 : 0, .rx_bytes = rx};

	peer_traffic_add(traffic, &source, &counts);
}
