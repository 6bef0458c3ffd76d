/* Emptying the kernel's maps: in batches, and not at all when nothing was inserted. */

#include "daemon/device/flow_maps.h"

#include "common/cleanup.h"
#include "daemon/bpf/flow_map.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define FEW	  512
#define BATCH	  1024
#define MAX_BATCH (1U << 20) /* a bucket of the kernel's table must fit into one */

static void connection_from_key(const struct flow_key *key, struct connection *ret_connection)
{
	struct connection connection = {.proto = key->proto};

	switch (key->family) {
	case 4:
		connection.src.address = address_ipv4((const uint8_t *)key->src);
		connection.dst.address = address_ipv4((const uint8_t *)key->dst);
		break;
	case 6:
		connection.src.address = address_ipv6((const uint8_t *)key->src);
		connection.dst.address = address_ipv6((const uint8_t *)key->dst);
		break;
	}
	connection.src.port = ntohs(key->src_port);
	connection.dst.port = ntohs(key->dst_port);
	*ret_connection = connection;
}

static void counts_from_kernel(const struct flow_counts *counts, struct counts *sum)
{
	counts_add(sum, &(struct counts){.tx_packets = counts->tx_packets,
					 .tx_bytes = counts->tx_bytes,
					 .rx_packets = counts->rx_packets,
					 .rx_bytes = counts->rx_bytes});
}

struct batch {
	struct flow_key *keys;
	struct flow_counts *values;
	uint32_t size;
};

static void batch_deinit(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
	*batch = (struct batch){};
}

static int batch_init(struct batch *batch, uint32_t size)
{
	*batch = (struct batch){
		.keys = malloc(size * sizeof(struct flow_key)),
		.values = malloc(size * sizeof(struct flow_counts)),
		.size = size,
	};
	if (batch->keys && batch->values)
		return 0;
	batch_deinit(batch);
	return -ENOMEM;
}

/* Room was made before, so that nothing that has left the kernel can be lost here. */
static void batch_hand_over(const struct batch *batch, uint32_t n, struct flows *flows)
{
	for (uint32_t i = 0; i < n; i++) {
		struct flow *flow = &flows->items[flows->n++];

		flow->counts = (struct counts){};
		connection_from_key(&batch->keys[i], &flow->connection);
		counts_from_kernel(&batch->values[i], &flow->counts);
	}
}

static int drain_flows(int fd, uint64_t inserted, struct flows *flows)
{
	_cleanup_(batch_deinit) struct batch batch = {};
	uint32_t position, *from = NULL, size = BATCH;
	uint64_t drained = 0;
	int error;

	while (drained < inserted) {
		uint32_t n = size;

		if (batch.size != size) {
			batch_deinit(&batch);
			error = batch_init(&batch, size);
			if (error < 0)
				return error;
		}
		error = bpf_map_lookup_and_delete_batch(fd, from, &position, batch.keys, batch.values, &n,
							NULL)
				? -errno
				: 0;
		if (error == -ENOSPC && size < MAX_BATCH) {
			size *= 2;
			continue;
		}
		if (error == -EINTR)
			continue;
		if (error < 0 && error != -ENOENT)
			return error;
		/* Never more than was inserted; a kernel that says otherwise finds no room for it. */
		n = (uint32_t)MIN((uint64_t)n, inserted - drained);
		batch_hand_over(&batch, n, flows);
		drained += n;
		from = &position;
		if (error == -ENOENT)
			break;
	}
	return drained == inserted ? 0 : -EIO;
}

/* One by one: a batch looks at every bucket of the kernel's table, which costs more where few are in use. */
static int drain_few(int fd, uint64_t inserted, struct flows *flows)
{
	struct flow_key keys[2];
	struct flow_counts counts;
	const struct batch one = {.keys = keys, .values = &counts, .size = 1};
	uint64_t drained = 0;
	bool more = bpf_map_get_next_key(fd, NULL, &keys[0]) == 0;

	while (more && drained < inserted) {
		/* Before its predecessor goes, since the way on begins there. */
		more = bpf_map_get_next_key(fd, &keys[0], &keys[1]) == 0;
		if (bpf_map_lookup_and_delete_elem(fd, &keys[0], &counts))
			return errno == ENOENT ? -EIO : -errno;
		batch_hand_over(&one, 1, flows);
		drained++;
		keys[0] = keys[1];
	}
	return drained == inserted ? 0 : -EIO;
}

static int drain_totals(int fd, unsigned int side, struct extraction *extraction)
{
	_cleanup_free_ struct flow_totals *totals = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	totals = calloc((size_t)cpus, sizeof(*totals));
	if (!totals)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &side, totals))
		return -errno;
	for (int i = 0; i < cpus; i++) {
		counts_from_kernel(&totals[i].totals, &extraction->totals);
		counts_from_kernel(&totals[i].overflow, &extraction->overflow);
		counts_from_kernel(&totals[i].inexact, &extraction->inexact);
	}
	memset(totals, 0, (size_t)cpus * sizeof(*totals));
	return bpf_map_update_elem(fd, &side, totals, BPF_ANY) ? -errno : 0;
}

/*
 * What was inserted and is not drained, because a call failed midway, is drained the next time. -EIO: the map
 * was emptied and had fewer than it said, so nothing is left to wait for.
 */
static int drain_filled(const struct flow_maps *maps, unsigned int side, struct flow_fill *fill,
			struct flows *flows)
{
	size_t before = flows->n;
	int fd = maps->flows[side], error = flows_reserve(flows, fill->inserted);

	if (error < 0)
		return error;
	error = fill->inserted <= FEW ? drain_few(fd, fill->inserted, flows)
				      : drain_flows(fd, fill->inserted, flows);
	fill->inserted = error < 0 && error != -EIO ? fill->inserted - (flows->n - before) : 0;
	if (bpf_map_update_elem(maps->fill, &side, fill, BPF_ANY))
		return -errno;
	return error;
}

int flow_maps_drain(const struct flow_maps *maps, unsigned int side, struct extraction *extraction)
{
	struct flow_fill fill;
	int error = 0, r;

	if (bpf_map_lookup_elem(maps->fill, &side, &fill))
		return -errno;
	if (fill.inserted > 0)
		error = drain_filled(maps, side, &fill, &extraction->flows);
	if (error < 0 && error != -EIO)
		return error;
	r = drain_totals(maps->totals, side, extraction);
	return error < 0 ? error : r;
}

uint64_t map_memory(int fd)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long bytes = 0;
	char path[40], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}
