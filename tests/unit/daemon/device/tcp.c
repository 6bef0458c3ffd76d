/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real TCP between two namespaces over a veth pair, with large segments of the usual size and beyond 64 KiB
 * (BIG TCP). All packets of a connection have the same headers, so the bytes counted must be the payload, the
 * SYN, and those headers times the packets counted: an error in either shows.
 */

#include "common/cleanup.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "daemon/net/netlink.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define EXIT_SKIPPED 77
#define PAYLOAD	     (24U * 1024 * 1024)
#define BIG	     180000

/* linux/if_link.h of newer kernels. */
enum { GSO_MAX_SIZE_ATTRIBUTE = 41, GRO_MAX_SIZE = 58, GSO_IPV4_MAX_SIZE = 63, GRO_IPV4_MAX_SIZE = 64 };

struct kind {
	const char *name;
	bool ipv6;
	bool big;
	uint64_t header; /* IP, TCP and timestamps */
	uint64_t syn;
};

static const struct kind kinds[] = {
	{"ipv4", false, false, 52, 60},
	{"ipv6", true, false, 72, 80},
	{"ipv4, big", false, true, 52, 60},
	{"ipv6, big", true, true, 72, 80},
};

static pid_t peer;
static int peer_go, peer_ready;
static struct epoch *epoch;
static struct device *device;

static int no_answer(const struct nlmsghdr *message, void *userdata)
{
	(void)message;
	(void)userdata;
	return 0;
}

struct big {
	uint16_t attribute;
	bool set;
};

static int read_big(const struct nlmsghdr *message, void *userdata)
{
	struct big *big = userdata;
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(attr) == big->attribute)
			big->set = mnl_attr_get_u32(attr) == BIG;
	return 0;
}

static int link_request(struct netlink *netlink, const char *name, const uint16_t attributes[2],
			netlink_message_fn message, void *userdata)
{
	_Alignas(struct nlmsghdr) char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;

	request->nlmsg_type = attributes ? RTM_NEWLINK : RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | (attributes ? NLM_F_ACK : 0);
	link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	link->ifi_index = (int)if_nametoindex(name);
	for (int i = 0; attributes && i < 2; i++)
		mnl_attr_put_u32(request, attributes[i], BIG);
	return netlink_request(netlink, request, 1000, message, userdata, NULL);
}

/* False where the kernel does not know the attributes: it ignores them. */
static bool set_big(const char *name, bool ipv6)
{
	static const uint16_t attributes[2][2] = {{GSO_IPV4_MAX_SIZE, GRO_IPV4_MAX_SIZE},
						  {GSO_MAX_SIZE_ATTRIBUTE, GRO_MAX_SIZE}};
	struct big big = {.attribute = attributes[ipv6][0]};
	struct netlink *netlink = NULL;

	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	if (link_request(netlink, name, attributes[ipv6], no_answer, NULL) == 0)
		ck_assert_int_eq(link_request(netlink, name, NULL, read_big, &big), 0);
	netlink_free(netlink);
	return big.set;
}

static void set_up(const char *name, const char *ipv4, const char *ipv6)
{
	char path[80];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	file = fopen(path, "we");
	if (file) {
		fputs("0", file);
		fclose(file);
	}
	run_program((const char *const[]){"ip", "addr", "add", ipv4, "dev", name, NULL});
	run_program((const char *const[]){"ip", "addr", "add", ipv6, "dev", name, "nodad", NULL});
	interface_set_up(name, true);
}

static int make_socket(bool ipv6, const char *text, struct sockaddr_storage *ret_address,
		       socklen_t *ret_length)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(5001)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(5001)};

	inet_pton(ipv6 ? AF_INET6 : AF_INET, text, ipv6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	memcpy(ret_address, ipv6 ? (void *)&six : (void *)&four, ipv6 ? sizeof(six) : sizeof(four));
	*ret_length = ipv6 ? sizeof(six) : sizeof(four);
	return socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The other end: reads one connection and discards it. */
static void peer_run(const struct kind *kind, int go, int ready)
{
	struct sockaddr_storage address;
	static char buffer[1 << 20];
	socklen_t length;
	int fd, connection;
	char byte = 0;

	namespace_enter();
	/* Now the parent can put one end of the pair here. */
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(1);
	set_up("nlv1", "10.99.0.2/24", "fd99::2/64");
	if (kind->big)
		set_big("nlv1", kind->ipv6);
	fd = make_socket(kind->ipv6, kind->ipv6 ? "::" : "0.0.0.0", &address, &length);
	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1) || write(ready, &byte, 1) != 1)
		_exit(1);
	connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	while (read(connection, buffer, sizeof(buffer)) > 0)
		;
	close(connection);
	/* When this process ends, so does its namespace, and with it the pair: wait for the parent. */
	if (read(go, &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

/* The pair, with the peer listening at its end. False when no pair can be made here. */
static bool start(const struct kind *kind)
{
	struct device_options options = {.interface = "nlv0", .max_flows = 128};
	int go[2], ready[2];
	char pid[16], byte = 0;

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(pipe(ready), 0);
	peer = fork();
	ck_assert_int_ge(peer, 0);
	if (peer == 0)
		peer_run(kind, go[0], ready[1]);
	peer_go = go[1];
	peer_ready = ready[0];
	namespace_enter();
	ck_assert_int_eq(read(peer_ready, &byte, 1), 1);
	snprintf(pid, sizeof(pid), "%d", peer);
	if (run_program((const char *const[]){"ip", "link", "add", "nlv0", "type", "veth", "peer", "name",
					      "nlv1", "netns", pid, NULL}) != 0 ||
	    (kind->big && !set_big("nlv0", kind->ipv6))) {
		fprintf(stderr, "%s: not on this system\n", kind->name);
		return false;
	}
	set_up("nlv0", "10.99.0.1/24", "fd99::1/64");
	ck_assert_int_eq(write(peer_go, &byte, 1), 1);
	ck_assert_int_eq(read(peer_ready, &byte, 1), 1);
	ck_assert_int_eq(epoch_new(&epoch), 0);
	options.epoch = epoch;
	ck_assert_int_eq(device_ebpf_new(&options, &device, NULL), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
	return true;
}

static void stop(void)
{
	device_free(device);
	epoch_free(epoch);
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
}

/* Sends everything and closes; returns the bytes of payload that went out, repeated ones too. */
static uint64_t send_all(const struct kind *kind)
{
	static const char data[1 << 20];
	struct sockaddr_storage address;
	struct tcp_info info = {};
	socklen_t length;
	char end;
	int fd;

	fd = make_socket(kind->ipv6, kind->ipv6 ? "fd99::2" : "10.99.0.2", &address, &length);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, length), 0);
	for (size_t sent = 0; sent < PAYLOAD;) {
		ssize_t n = write(fd, data, MIN(sizeof(data), PAYLOAD - sent));

		ck_assert_int_gt(n, 0);
		sent += (size_t)n;
	}
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	/* The peer closes when it has read everything. */
	ck_assert_int_eq(read(fd, &end, 1), 0);
	length = sizeof(info);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	close(fd);
	return info.tcpi_bytes_sent;
}

/* Packets as the interface counts them: large segments are one. */
static uint64_t interface_packets(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/dev", "re");
	unsigned long long packets = 0;
	char line[256];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " nlv0: %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &packets) == 1)
			break;
	return packets;
}

START_TEST(bytes_and_packets_fit_together)
{
	const struct kind *kind = &kinds[_i];
	struct extraction extraction = {};
	struct counts counts = {};
	uint64_t payload;

	if (!start(kind)) {
		stop();
		return;
	}
	payload = send_all(kind);
	ck_assert_uint_ge(payload, PAYLOAD);
	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), 0);
	for (size_t i = 0; i < extraction.flows.n; i++)
		if (extraction.flows.items[i].connection.dst.port == 5001)
			counts_add(&counts, &extraction.flows.items[i].counts);
	ck_assert_uint_ge(counts.tx_packets, PAYLOAD / 1448);
	ck_assert_msg(
		counts.tx_bytes == payload + kind->syn + (counts.tx_packets - 1) * kind->header,
		"%s: %llu packets, %lld bytes too many", kind->name, (unsigned long long)counts.tx_packets,
		(long long)(counts.tx_bytes - payload - kind->syn - (counts.tx_packets - 1) * kind->header));
	ck_assert(counts_is_zero(&extraction.inexact));
	/* There were large segments at all, on average beyond 64 KiB where the kernel allows them. */
	ck_assert_uint_lt(interface_packets() * (kind->big ? 46 : 3), counts.tx_packets);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp");
	TCase *tcase = tcase_create("tcp");
	struct epoch *probe = NULL;
	SRunner *runner;
	int failed;

	if (epoch_new(&probe) < 0 || !tunnel_is_possible() ||
	    run_program((const char *const[]){"ip", "-V", NULL}) != 0) {
		fprintf(stderr, "skipped: no eBPF maps, namespaces or ip here\n");
		return EXIT_SKIPPED;
	}
	epoch_free(probe);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, bytes_and_packets_fit_together, 0, (int)ARRAY_SIZE(kinds));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
