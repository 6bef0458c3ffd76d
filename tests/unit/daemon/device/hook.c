/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sharing an interface: leftovers of a killed run, other instances, foreign filters and programs, and an
 * interface that moves to another network namespace and back.
 */

#include "daemon/device/hook.h"
#include "common/cleanup.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "daemon/net/netlink.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define EXIT_SKIPPED 77

static struct tunnel tunnel;
static struct epoch *epoch;

static struct device *load_device(bool without_tcx)
{
	struct device_options options = {
		.interface = tunnel.name, .max_flows = 64, .epoch = epoch, .without_tcx = without_tcx};
	struct device *device = NULL;

	ck_assert_int_eq(device_ebpf_new(&options, &device, NULL), 0);
	return device;
}

static struct device *make_device(bool without_tcx)
{
	struct device *device = load_device(without_tcx);

	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
	return device;
}

static void start(void)
{
	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){});
	ck_assert_int_eq(epoch_new(&epoch), 0);
}

static void stop(void)
{
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}

static const uint8_t packet[28] = {0x45, 0, 0,	 28, 0, 1, 0, 0, 64, 17, 0, 0, 100, 64,
				   0,	 1, 100, 64, 0, 2, 1, 2, 0,  53, 0, 8, 0,   0};

static void receive(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
}

/* Packets that a device counted since the last time; the epoch was flipped. */
static uint64_t received(struct device *device)
{
	struct extraction extraction = {};
	uint64_t packets;

	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), 0);
	packets = extraction.totals.rx_packets;
	extraction_deinit(&extraction);
	return packets;
}

static int no_answer(const struct nlmsghdr *message, void *userdata)
{
	(void)message;
	(void)userdata;
	return 0;
}

static int count_message(const struct nlmsghdr *message, void *userdata)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);
	size_t *n = userdata;

	if ((unsigned int)tc->tcm_ifindex == tunnel.ifindex && tc->tcm_handle != 0)
		++*n;
	return 0;
}

/* Filters (of one side) or qdiscs of the interface. */
static size_t count_objects(uint16_t type, uint32_t parent)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct netlink *netlink = NULL;
	struct tcmsg *tc;
	size_t n = 0;

	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	tc->tcm_ifindex = (int)tunnel.ifindex;
	tc->tcm_parent = parent;
	ck_assert_int_eq(netlink_request(netlink, request, 1000, count_message, &n, NULL), 0);
	netlink_free(netlink);
	return n;
}

static size_t ingress_filters(void)
{
	return count_objects(RTM_GETTFILTER, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
}

static size_t egress_filters(void)
{
	return count_objects(RTM_GETTFILTER, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
}

/* Another program that lets everything pass. */
static int load_foreign(void)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", code, 2, NULL);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void attach_foreign(uint32_t priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)tunnel.ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .priority = priority);
	_cleanup_close_ int fd = load_foreign();
	int error = bpf_tc_hook_create(&hook);

	ck_assert(error == 0 || error == -EEXIST);
	options.prog_fd = fd;
	ck_assert_int_eq(bpf_tc_attach(&hook, &options), 0);
}

static const char *warning(struct device *device)
{
	struct device_info info;

	device->ops->get_info(device, &info);
	return info.warning;
}

/* A process that is killed while it counts. */
static void killed_run(void)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct device_options options = {
			.interface = tunnel.name, .max_flows = 64, .epoch = epoch, .without_tcx = true};
		struct device *device = NULL;

		if (device_ebpf_new(&options, &device, NULL) < 0 ||
		    device->ops->set_statistics_enabled(device, true) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* As `tc qdisc add dev X ingress`: it takes clsact's place, and has no egress. */
static void make_ingress_qdisc(void)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct netlink *netlink = NULL;
	struct tcmsg *tc;

	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	request->nlmsg_type = RTM_NEWQDISC;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	tc->tcm_ifindex = (int)tunnel.ifindex;
	tc->tcm_parent = TC_H_INGRESS;
	tc->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
	mnl_attr_put_strz(request, TCA_KIND, "ingress");
	ck_assert_int_eq(netlink_request(netlink, request, 1000, no_answer, NULL, NULL), 0);
	netlink_free(netlink);
}

/* A program for egress would end up on ingress, and count received packets twice. */
START_TEST(an_ingress_qdisc_is_no_place)
{
	struct device_options options = {.max_flows = 64, .without_tcx = true};
	_cleanup_free_ char *reason = NULL;
	struct device *device = NULL;

	start();
	options.interface = tunnel.name;
	options.epoch = epoch;
	make_ingress_qdisc();
	ck_assert_int_eq(device_ebpf_new(&options, &device, &reason), -EBUSY);
	ck_assert_msg(strstr(reason, "qdisc"), "%s", reason);
	ck_assert_uint_eq(ingress_filters(), 0);
	stop();
}
END_TEST

START_TEST(leftovers_are_replaced)
{
	struct device *device;

	start();
	killed_run();
	killed_run();
	/* The second run removed the first one's leftovers. */
	ck_assert_uint_eq(ingress_filters(), 1);
	ck_assert_uint_eq(egress_filters(), 1);
	receive(3); /* a stub that calls nothing lets them pass */

	device = make_device(true);
	ck_assert_uint_eq(ingress_filters(), 1);
	ck_assert_uint_eq(egress_filters(), 1);
	ck_assert_ptr_null(warning(device));
	receive(5);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(device), 5);
	device_free(device);
	ck_assert_uint_eq(ingress_filters(), 0);
	ck_assert_uint_eq(egress_filters(), 0);
	ck_assert_uint_ge(count_objects(RTM_GETQDISC, TC_H_CLSACT), 1);
	stop();
}
END_TEST

START_TEST(other_instances_are_left_alone)
{
	struct device *first, *second;

	start();
	first = make_device(true);
	second = make_device(true);
	ck_assert_uint_eq(ingress_filters(), 2);
	receive(4);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(first), 4);
	ck_assert_uint_eq(received(second), 4);
	device_free(second);
	ck_assert_uint_eq(ingress_filters(), 1);
	receive(2);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(first), 2);
	device_free(first);
	stop();
}
END_TEST

START_TEST(foreign_filters_are_left_alone)
{
	struct device *device;

	start();
	attach_foreign(1);
	attach_foreign(7);
	device = make_device(true);
	ck_assert_uint_eq(ingress_filters(), 3);
	/* The newest filter of a priority runs first. */
	ck_assert_ptr_null(warning(device));
	receive(6);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(device), 6);
	attach_foreign(1);
	ck_assert_ptr_nonnull(warning(device));
	device_free(device);
	ck_assert_uint_eq(ingress_filters(), 3);
	ck_assert_uint_eq(egress_filters(), 0);
	stop();
}
END_TEST

START_TEST(many_foreign_filters_ahead)
{
	struct device *device;

	start();
	device = make_device(true);
	for (int i = 0; i < 300; i++)
		attach_foreign(1);
	ck_assert_ptr_nonnull(warning(device));
	receive(6);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(device), 6);
	device_free(device);
	ck_assert_uint_eq(ingress_filters(), 300);
	ck_assert_uint_eq(egress_filters(), 0);
	stop();
}
END_TEST

START_TEST(a_tcx_program_ahead_is_told)
{
	LIBBPF_OPTS(bpf_link_create_opts, before, .flags = 1U << 3);
	_cleanup_close_ int foreign = -1, link = -1;
	struct device *device;

	start();
	device = make_device(_i == 1);
	ck_assert_ptr_null(warning(device));
	foreign = load_foreign();
	link = bpf_link_create(foreign, (int)tunnel.ifindex, (enum bpf_attach_type)47, &before);
	if (link < 0) {
		fprintf(stderr, "no TCX on this kernel\n");
	} else {
		ck_assert_ptr_nonnull(warning(device));
		ck_assert_ptr_nonnull(strstr(warning(device), "egress"));
	}
	device_free(device);
	stop();
}
END_TEST

/* Of two daemons on one interface, neither takes the other's program for one that hides packets, also when
 * one exchanges its own. */
START_TEST(another_daemons_program_hides_nothing)
{
	struct device *devices[3], *between;
	struct device_info info;

	start();
	for (size_t i = 0; i < 2; i++)
		devices[i] = make_device(_i == 1);
	between = load_device(_i == 1);
	ck_assert_int_eq(between->ops->take_over(between, devices[1]), 0);
	device_free(devices[1]);
	devices[1] = between;
	devices[2] = make_device(_i == 1);
	for (int round = 0; round < 3; round++) {
		receive(3);
		epoch_flip(epoch);
		for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
			ck_assert_uint_eq(received(devices[i]), 3);
			ck_assert_ptr_null(warning(devices[i]));
			devices[i]->ops->get_info(devices[i], &info);
			ck_assert_uint_eq(info.went_ahead, 0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		device_free(devices[i]);
	stop();
}
END_TEST

/* One that hides every packet, put ahead of ours later: until the window's end. */
START_TEST(ours_goes_ahead_again)
{
	LIBBPF_OPTS(bpf_link_create_opts, before, .flags = 1U << 3);
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 /* TCX_DROP */},
		{.code = BPF_JMP | BPF_EXIT},
	};
	_cleanup_close_ int foreign = -1, link = -1;
	struct device_info info;
	struct device *device;

	start();
	device = make_device(false);
	foreign = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", code, 2, NULL);
	ck_assert_int_ge(foreign, 0);
	link = bpf_link_create(foreign, (int)tunnel.ifindex, (enum bpf_attach_type)46, &before);
	if (link < 0) {
		fprintf(stderr, "no TCX on this kernel\n");
	} else {
		receive(3);
		ck_assert_ptr_nonnull(warning(device));
		epoch_flip(epoch);
		ck_assert_uint_eq(received(device), 0);
		ck_assert_ptr_null(warning(device));
		device->ops->get_info(device, &info);
		ck_assert_uint_eq(info.went_ahead, 1);
		receive(5);
		epoch_flip(epoch);
		ck_assert_uint_eq(received(device), 5);
		device->ops->get_info(device, &info);
		ck_assert_uint_eq(info.went_ahead, 1);
	}
	device_free(device);
	stop();
}
END_TEST

/* Moves the tunnel's interface into the namespace; it disappears from ours. */
static void move_to(int namespace_fd)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct netlink *netlink = NULL;
	struct ifinfomsg *link;

	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	request->nlmsg_type = RTM_NEWLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	link->ifi_index = (int)if_nametoindex(tunnel.name);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)namespace_fd);
	ck_assert_int_eq(netlink_request(netlink, request, 1000, no_answer, NULL, NULL), 0);
	netlink_free(netlink);
}

/* Gone and back: the device reports that it must be made again, and the new one counts. */
START_TEST(an_interface_that_moves_and_comes_back)
{
	int home = -1, away = -1;
	struct extraction extraction = {};
	struct device_options options = {.max_flows = 64, .without_tcx = _i == 1};
	struct device *device;
	int error;

	start();
	options.interface = tunnel.name;
	options.epoch = epoch;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	device = make_device(options.without_tcx);
	receive(2);
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	away = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	move_to(away);
	epoch_flip(epoch);
	error = device->ops->extract_statistics(device, &extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 2);
	extraction_deinit(&extraction);
	ck_assert_int_eq(error, -ENODEV);
	device_free(device);
	ck_assert_int_eq(device_ebpf_new(&options, &device, NULL), -ENODEV);

	ck_assert_int_eq(setns(away, CLONE_NEWNET), 0);
	move_to(home);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	interface_set_up(tunnel.name, true);
	tunnel.ifindex = if_nametoindex(tunnel.name);
	device = make_device(options.without_tcx);
	receive(3);
	epoch_flip(epoch);
	ck_assert_uint_eq(received(device), 3);
	device_free(device);
	safe_close(home);
	safe_close(away);
	stop();
}
END_TEST

/*
 * Away and back between two extractions, with the same name and index: a TCX link stays on it, but nothing
 * else of ours is attached any more.
 */
START_TEST(an_interface_that_was_away_meanwhile)
{
	struct device_options options = {.max_flows = 64, .without_tcx = _i == 1};
	struct extraction extraction = {};
	struct device *device = NULL;
	struct device_info info;
	int home = -1, away = -1;
	bool stays;

	start();
	options.interface = tunnel.name;
	options.epoch = epoch;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_eq(_i == 2 ? device_packet_new(&options, &device, NULL)
				 : device_ebpf_new(&options, &device, NULL),
			 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
	receive(2);
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	away = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	move_to(away);
	ck_assert_int_eq(setns(away, CLONE_NEWNET), 0);
	move_to(home);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	ck_assert_uint_eq(if_nametoindex(tunnel.name), tunnel.ifindex);
	interface_set_up(tunnel.name, true);
	receive(3);
	epoch_flip(epoch);
	device->ops->get_info(device, &info);
	stays = info.attachment && strcmp(info.attachment, "tcx") == 0;
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), stays ? 0 : -ENODEV);
	ck_assert_uint_eq(extraction.totals.rx_packets, stays ? 5 : 2);
	extraction_deinit(&extraction);
	device_free(device);
	safe_close(home);
	safe_close(away);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hook");
	TCase *tcase = tcase_create("hook");
	struct epoch *probe = NULL;
	SRunner *runner;
	int failed;

	if (epoch_new(&probe) < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF maps, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	epoch_free(probe);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, leftovers_are_replaced);
	tcase_add_test(tcase, an_ingress_qdisc_is_no_place);
	tcase_add_test(tcase, other_instances_are_left_alone);
	tcase_add_test(tcase, foreign_filters_are_left_alone);
	tcase_add_test(tcase, many_foreign_filters_ahead);
	tcase_add_loop_test(tcase, a_tcx_program_ahead_is_told, 0, 2);
	tcase_add_loop_test(tcase, another_daemons_program_hides_nothing, 0, 2);
	tcase_add_test(tcase, ours_goes_ahead_again);
	tcase_add_loop_test(tcase, an_interface_that_moves_and_comes_back, 0, 2);
	tcase_add_loop_test(tcase, an_interface_that_was_away_meanwhile, 0, 3);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
