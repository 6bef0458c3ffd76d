/* SPDX-License-Identifier: BSD-3-Clause */
/* The fixture of the tests of tun sources. */

#include "tests/unit/daemon/device/support/tun_device.h"
#include "common/cleanup.h"
#include "daemon/bpf/tun_maps.h"
#include "daemon/device/preemption.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define EXIT_SKIPPED 77
#define LATE_MAX     10 /* windows on end of which the last packets are late */

struct tunnel tun_tunnel;
struct epoch *tun_epoch;
struct device *tun_device;
enum tun_variant tun_variant;
bool tun_details;

int tun_make(uint32_t max_flows)
{
	_cleanup_free_ char *reason = NULL;
	struct device_options options = {
		.layer = LAYER_TUN,
		.interface = tun_tunnel.name,
		.max_flows = max_flows,
		.details = tun_details,
		.epoch = tun_epoch,
		.without_tcx = tun_variant == TUN_CLSACT,
	};
	int error = tun_variant == TUN_PACKETS ? device_packet_new(&options, &tun_device, &reason)
					       : device_ebpf_new(&options, &tun_device, &reason);

	if (error < 0)
		fprintf(stderr, "%s\n", reason ? reason : "no reason");
	return error;
}

void tun_start(const struct tunnel_options *options, uint32_t max_flows)
{
	namespace_enter();
	tunnel_init(&tun_tunnel, options);
	ck_assert_int_eq(epoch_new(&tun_epoch), 0);
	ck_assert_int_eq(tun_make(max_flows), 0);
	ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, true), 0);
}

void tun_stop(void)
{
	device_free(tun_device);
	epoch_free(tun_epoch);
	tunnel_deinit(&tun_tunnel);
}

static int end_window(struct extraction *ret_extraction)
{
	if (tun_device->ops->before_flip)
		tun_device->ops->before_flip(tun_device);
	epoch_flip(tun_epoch);
	return tun_device->ops->extract_statistics(tun_device, ret_extraction);
}

void tun_extract(struct extraction *ret_extraction)
{
	struct extraction late;
	uint64_t timeouts = 0;
	int r = end_window(ret_extraction);

	/* The thread that reads the rings may get no CPU for long on a machine that is emulated. */
	for (; tun_variant == TUN_PACKETS && r == -ETIMEDOUT && timeouts < LATE_MAX; timeouts++) {
		r = end_window(&late);
		extraction_merge(ret_extraction, &late);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(ret_extraction->errors, timeouts);
}

void tun_packet(uint8_t packet[static 28], uint16_t number)
{
	static const uint8_t model[28] = {0x45, 0, 0,	28, 0, 1, 0,	0,    64, 17, 0, 0, 100, 64,
					  0,	1, 100, 64, 0, 2, 0x10, 0x20, 0,  53, 0, 8, 0,	 0};
	uint16_t port = htons(number);

	memcpy(packet, model, sizeof(model));
	memcpy(packet + 20, &port, sizeof(port));
}

void tun_receive(unsigned int n)
{
	uint8_t packet[28];

	tun_packet(packet, 7);
	for (unsigned int i = 0; i < n; i++)
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
}

void tun_stay_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

unsigned int tun_rests(void)
{
	return FLOW_BLOCK * (unsigned int)libbpf_num_possible_cpus() * (programs_preempt() ? FLOW_LEVELS : 1);
}

/* TCX knows its attach types: a query for the loopback device's programs works. */
static bool has_tcx(void)
{
	uint32_t ids[1], count = 0, flags = 0;

	return bpf_prog_query((int)if_nametoindex("lo"), (enum bpf_attach_type)46, 0, &flags, ids, &count) ==
	       0;
}

static void set_tcx(void)
{
	tun_variant = TUN_TCX;
}

static void set_clsact(void)
{
	tun_variant = TUN_CLSACT;
}

static void set_packets(void)
{
	tun_variant = TUN_PACKETS;
}

int tun_run(const char *name, unsigned int variants, void (*add_tests)(TCase *tcase))
{
	static const struct {
		const char *name;
		void (*set)(void);
	} cases[] = {
		[TUN_TCX] = {"tcx", set_tcx},
		[TUN_CLSACT] = {"clsact", set_clsact},
		[TUN_PACKETS] = {"packet", set_packets},
	};
	struct epoch *probe = NULL;
	SRunner *runner;
	Suite *suite;
	int failed;

	if (epoch_new(&probe) < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF maps, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	epoch_free(probe);
	if (variants & 1U << TUN_TCX && !has_tcx()) {
		fprintf(stderr, "no TCX on this kernel: only clsact is tested\n");
		variants &= ~(1U << TUN_TCX);
	}
	suite = suite_create(name);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TCase *tcase;

		if (!(variants & 1U << i))
			continue;
		tcase = tcase_create(cases[i].name);
		tcase_set_timeout(tcase, 60);
		tcase_add_checked_fixture(tcase, cases[i].set, NULL);
		add_tests(tcase);
		suite_add_tcase(suite, tcase);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
