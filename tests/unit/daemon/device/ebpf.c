/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source `ebpf` on a real tun tun_device, by TCX and by clsact: a full table, requests for an early
 * extraction, failed extractions, and one device that takes over from another.
 */

#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/tun_device.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

START_TEST(tells_what_it_is)
{
	struct device_info info;

	tun_start(&(struct tunnel_options){}, 1000);
	tun_device->ops->get_info(tun_device, &info);
	ck_assert_int_eq(info.source, SOURCE_EBPF);
	ck_assert_str_eq(info.attachment, tun_variant == TUN_CLSACT ? "clsact" : "tcx");
	ck_assert_str_eq(info.interface, tun_tunnel.name);
	ck_assert_uint_eq(info.ifindex, tun_tunnel.ifindex);
	ck_assert_ptr_null(info.warning);
	ck_assert_int_eq(info.reason != NULL, tun_variant == TUN_CLSACT);
	/* Two sides of 2000 entries of 64 bytes and 1000 of 128 at the least. */
	ck_assert_uint_ge(info.memory, 2 * (2000 * 64 + 1000 * 128));
	ck_assert_uint_le(info.memory, 3 * 2 * ((2000 + tun_rests()) * 64 + (1000 + tun_rests()) * 128));
	tun_stop();
}
END_TEST

START_TEST(overflow_is_counted_exactly)
{
	/* Twice the connections, and the rest of a block for each CPU. */
	const unsigned int room = 2 * 50 + tun_rests();
	/* The last ones, which wait for others, are taken without an entry. */
	const unsigned int waiting = (2 * (room + 50) + 40 - 1) % FLOW_BATCH + 1;
	struct extraction extraction = {};
	struct counts sum = {};
	uint8_t packet[28];

	tun_stay_on_one_cpu();
	tun_start(&(struct tunnel_options){}, 50);
	for (uint16_t i = 0; i < 2 * (room + 50); i++) {
		tun_packet(packet, (uint16_t)(i % (room + 50)));
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	for (uint16_t i = 0; i < 40; i++) {
		tun_packet(packet, (uint16_t)(10000 + i));
		ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, room + waiting);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&sum, &extraction.flows.items[i].counts);
	ck_assert_uint_eq(sum.rx_packets, 2 * room);
	ck_assert_uint_eq(sum.tx_packets, waiting);
	ck_assert_uint_eq(extraction.overflow.rx_packets, 100);
	ck_assert_uint_eq(extraction.overflow.rx_bytes, 100 * 28);
	ck_assert_uint_eq(extraction.overflow.tx_packets, 40 - waiting);
	ck_assert_uint_eq(extraction.overflow.tx_bytes, (40 - waiting) * 28);
	counts_add(&sum, &extraction.overflow);
	ck_assert(counts_equal(&sum, &extraction.totals));
	extraction_deinit(&extraction);

	/* The next window begins empty. */
	tun_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert(counts_is_zero(&extraction.overflow));
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

#define MANY 10000

struct taken {
	unsigned int slices;
	size_t most, n;
	bool seen[MANY];
	struct counts sum;
};

/* Each connection comes once. */
static void take(struct flows *flows, void *userdata)
{
	struct taken *taken = userdata;

	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];

		ck_assert_uint_lt(flow->connection.dst.port, MANY);
		ck_assert(!taken->seen[flow->connection.dst.port]);
		taken->seen[flow->connection.dst.port] = true;
		counts_add(&taken->sum, &flow->counts);
	}
	taken->slices++;
	taken->most = MAX(taken->most, flows->n);
	taken->n += flows->n;
}

START_TEST(many_flows_come_in_slices)
{
	struct taken taken = {};
	const struct flow_taker taker = {.take = take, .userdata = &taken};
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_stay_on_one_cpu();
	tun_start(&(struct tunnel_options){}, MANY);
	for (uint16_t i = 0; i < MANY; i++) {
		tun_packet(packet, i);
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	tun_device->taker = &taker;
	tun_extract(&extraction);
	ck_assert_uint_ge(taken.slices, MANY / EXTRACTION_SLICE);
	ck_assert_uint_le(taken.most, EXTRACTION_SLICE);
	ck_assert_uint_le(extraction.flows.allocated, EXTRACTION_SLICE);
	ck_assert_uint_eq(extraction.n_taken, taken.n);
	ck_assert(counts_equal(&extraction.taken, &taken.sum));
	/* The rest. */
	take(&extraction.flows, &taken);
	ck_assert_uint_eq(taken.n, MANY);
	ck_assert_uint_eq(taken.sum.rx_packets, MANY);
	ck_assert(counts_equal(&taken.sum, &extraction.totals));
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

static bool has_pressure(int timeout_ms)
{
	struct pollfd poll_fd = {.fd = tun_device->ops->get_pressure_fd(tun_device), .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

START_TEST(asks_for_an_early_extraction_at_three_quarters)
{
	/* The first entry of the block that ends at three quarters of 1024 entries, beside the rest of a
	 * block for each CPU. */
	const uint16_t last = (uint16_t)(768 + tun_rests() - FLOW_BLOCK);
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_stay_on_one_cpu();
	tun_start(&(struct tunnel_options){}, 512);
	for (int round = 0; round < 3; round++) {
		for (uint16_t i = 0; i < last; i++) {
			tun_packet(packet, i);
			ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		}
		ck_assert(!has_pressure(0));
		/* It and a batch are counted once one more arrives. */
		for (uint16_t i = 0; i < FLOW_BATCH + 1; i++) {
			tun_packet(packet, last + i);
			ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		}
		ck_assert(has_pressure(5000));
		tun_extract(&extraction);
		ck_assert_uint_eq(extraction.flows.n, last + FLOW_BATCH + 1U);
		extraction_deinit(&extraction);
		ck_assert(!has_pressure(0));
	}
	tun_stop();
}
END_TEST

/* CPUs take whole blocks: a few connections on each, in a small table, must not cause a request. */
START_TEST(asks_for_nothing_while_there_is_room)
{
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 1);
	tun_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert(!has_pressure(0));
	tun_stop();
}
END_TEST

/* The next window's map fills up while this window's is being drained. */
START_TEST(asks_also_when_an_extraction_is_under_way)
{
	const uint16_t last = (uint16_t)(80 + tun_rests());
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_stay_on_one_cpu();
	tun_start(&(struct tunnel_options){}, 50);
	epoch_flip(tun_epoch);
	for (uint16_t i = 0; i < last; i++) {
		tun_packet(packet, i);
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	ck_assert_int_eq(tun_device->ops->extract_statistics(tun_device, &extraction), 0);
	ck_assert_uint_eq(extraction.flows.n, 0);
	extraction_deinit(&extraction);
	tun_packet(packet, last);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert(has_pressure(0));
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, last + 1U);
	extraction_deinit(&extraction);
	ck_assert(!has_pressure(0));
	tun_stop();
}
END_TEST

/* A window that could not be extracted comes two windows later, or with the last one. */
START_TEST(what_a_failed_extraction_left_comes_with_the_last)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 50);
	tun_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	epoch_flip(tun_epoch); /* and no extraction */
	tun_packet(packet, 2);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, false), 0);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 2);
	ck_assert_uint_eq(extraction.totals.rx_packets, 2);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/* Exactly one of the two counts each packet, and the first one's counts can still be extracted. */
START_TEST(another_takes_over)
{
	struct extraction extraction = {};
	struct device *first;

	tun_start(&(struct tunnel_options){}, 64);
	first = tun_device;
	tun_receive(10);
	ck_assert_int_eq(tun_make(128), 0);
	/* Packets counted while it was made belong to no window. */
	tun_extract(&extraction);
	extraction_deinit(&extraction);
	tun_receive(3);
	ck_assert_int_eq(tun_device->ops->take_over(tun_device, first), 0);
	ck_assert(tun_device->enabled && !first->enabled);
	ck_assert_int_eq(tun_device->ops->take_over(tun_device, first), -EINVAL);
	tun_receive(7);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 7);
	ck_assert_uint_eq(extraction.flows.n, 1);
	extraction_deinit(&extraction);
	ck_assert_int_eq(first->ops->extract_statistics(first, &extraction), 0);
	ck_assert_uint_eq(extraction.totals.rx_packets, 13);
	extraction_deinit(&extraction);
	device_free(first);
	tun_receive(5);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 5);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/* The kernel's type information, hidden. */
START_TEST(without_type_information)
{
	char *reason = NULL;
	struct device_options options = {.layer = LAYER_TUN, .interface = tun_tunnel.name, .max_flows = 1000};

	tun_start(&(struct tunnel_options){}, 1000);
	options.epoch = tun_epoch;
	device_free(tun_device);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	if (mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) == 0) {
		ck_assert_int_lt(device_ebpf_new(&options, &tun_device, &reason), 0);
		ck_assert_ptr_nonnull(strstr(reason, "no type information (BTF"));
		ck_assert_ptr_null(strstr(reason, "No such process"));
		free(reason);
	}
	tun_device = NULL;
	tun_stop();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, tells_what_it_is);
	tcase_add_test(tcase, another_takes_over);
	tcase_add_test(tcase, overflow_is_counted_exactly);
	tcase_add_test(tcase, many_flows_come_in_slices);
	tcase_add_test(tcase, asks_for_an_early_extraction_at_three_quarters);
	tcase_add_test(tcase, asks_for_nothing_while_there_is_room);
	tcase_add_test(tcase, asks_also_when_an_extraction_is_under_way);
	tcase_add_test(tcase, without_type_information);
	tcase_add_test(tcase, what_a_failed_extraction_left_comes_with_the_last);
}

int main(void)
{
	return tun_run("ebpf", 1U << TUN_TCX | 1U << TUN_CLSACT, add_tests);
}
