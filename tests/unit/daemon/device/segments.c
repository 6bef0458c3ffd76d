/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Large segments: the counts of one must match what the kernel makes of it. Each goes out through a tun
 * device, where the test reads the packets that the kernel split it into; and the same one comes in.
 */

#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/program.h"
#include "tests/unit/daemon/device/support/superpacket.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

static struct tunnel tunnel;
static struct epoch *epoch;
static struct device *device;
static struct superpacket packet;

/* By the source `packet`; else `ebpf`. */
static bool by_packets;

static void start(bool vnet)
{
	struct device_options options = {.layer = LAYER_TUN, .interface = tunnel.name, .max_flows = 128};
	char *reason = NULL;

	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){.vnet = vnet});
	ck_assert_int_eq(epoch_new(&epoch), 0);
	options.epoch = epoch;
	if (by_packets)
		ck_assert_int_eq(device_packet_new(&options, &device, &reason), 0);
	else
		ck_assert_int_eq(device_ebpf_new(&options, &device, &reason), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
}

static void stop(void)
{
	device_free(device);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}

static struct extraction extract(void)
{
	struct extraction extraction = {};

	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), 0);
	return extraction;
}

/* What the kernel made of everything that was sent. */
static void read_packets(uint64_t *ret_packets, uint64_t *ret_bytes)
{
	uint8_t buffer[SUPERPACKET_MAX];
	size_t length;

	*ret_packets = *ret_bytes = 0;
	while ((length = tunnel_read(&tunnel, 0, buffer, sizeof(buffer))) > 0) {
		++*ret_packets;
		*ret_bytes += length;
	}
}

START_TEST(counts_what_the_kernel_makes_of_it)
{
	const struct superpacket_options *options = &superpackets[_i];
	struct extraction extraction;
	uint64_t packets, bytes;
	int error;

	start(true);
	superpacket_make(&packet, options);
	error = tunnel_transmit(&tunnel, 0, &packet.header, packet.bytes, packet.length);
	if (error == -EINVAL && options->udp) {
		fprintf(stderr, "%s: not on this kernel\n", options->name);
		stop();
		return;
	}
	ck_assert_msg(error == 0, "%s: %s", options->name, strerror(-error));
	read_packets(&packets, &bytes);
	ck_assert_uint_eq(packets, (options->payload + options->size - 1) / options->size);
	extraction = extract();
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.src.port, 4000);
	ck_assert_uint_eq(extraction.totals.tx_packets, packets);
	ck_assert_uint_eq(extraction.totals.tx_bytes, bytes);
	ck_assert(counts_equal(&extraction.flows.items[0].counts, &extraction.totals));
	ck_assert(counts_is_zero(&extraction.inexact));
	extraction_deinit(&extraction);

	error = tunnel_receive(&tunnel, 0, &packet.header, packet.bytes, packet.length);
	ck_assert_msg(error == 0, "%s: %s", options->name, strerror(-error));
	extraction = extract();
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, 4000);
	ck_assert_uint_eq(extraction.totals.rx_packets, packets);
	ck_assert_uint_eq(extraction.totals.rx_bytes, bytes);
	ck_assert(counts_is_zero(&extraction.inexact));
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* IP fragments in one piece, as a virtual machine may write them: a packet socket cannot express their kind.
 */
START_TEST(a_kind_that_is_not_known)
{
	struct extraction extraction;
	uint64_t packets = 5;

	start(true);
	superpacket_make(&packet, &(struct superpacket_options){.udp = true, .size = 1000, .payload = 5000});
	packet.header.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	/* Ordinary packets before and after it, so that their remains surround it in the ring. */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet.bytes, 28), 0);
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, &packet.header, packet.bytes, packet.length), 0);
	}
	extraction = extract();
	if (by_packets) {
		ck_assert_uint_eq(extraction.totals.rx_packets, 6);
		ck_assert_uint_eq(extraction.overflow.rx_packets, 3);
		ck_assert_uint_eq(extraction.inexact.rx_packets, 3);
		ck_assert_uint_eq(extraction.flows.n, 1);
		ck_assert_uint_eq(extraction.flows.items[0].counts.rx_packets, 3);
		ck_assert_uint_eq(extraction.flows.items[0].counts.rx_bytes, 3 * 28);
	} else {
		ck_assert_uint_eq(extraction.totals.rx_packets, 3 + 3 * (packets + 1));
		ck_assert_uint_eq(extraction.inexact.rx_packets, 3 * (packets + 1));
		ck_assert(counts_is_zero(&extraction.overflow));
	}
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* Where the checksum begins is the VPN's claim; no claim changes what is counted. */
START_TEST(a_false_beginning_of_the_checksum)
{
	const struct superpacket_options *options = &superpackets[_i];
	uint64_t packets = (options->payload + options->size - 1) / options->size;
	struct extraction extraction;
	int error;

	start(true);
	superpacket_make(&packet, options);
	packet.header.csum_start = (uint16_t)(packet.headers + 100);
	error = tunnel_receive(&tunnel, 0, &packet.header, packet.bytes, packet.length);
	/* Newer kernels look at it themselves. */
	if (error == 0) {
		extraction = extract();
		ck_assert_uint_eq(extraction.totals.rx_packets, packets);
		ck_assert_uint_eq(extraction.totals.rx_bytes, options->payload + packets * packet.headers);
		ck_assert(counts_is_zero(&extraction.inexact));
		extraction_deinit(&extraction);
	}
	stop();
}
END_TEST

static void set_address(int request_code, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", tunnel.name);
	memcpy(&request.ifr_addr, &address, sizeof(address));
	ck_assert_int_eq(ioctl(fd, (unsigned long)request_code, &request), 0);
	close(fd);
}

START_TEST(udp_segment_of_a_socket)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
	int fd = -1, size = 500;
	struct extraction extraction;
	uint64_t packets, bytes;
	char data[20123] = {};
	ssize_t sent;

	start(false);
	set_address(SIOCSIFADDR, "100.64.0.1");
	set_address(SIOCSIFNETMASK, "255.255.255.0");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	ck_assert_int_eq(inet_pton(AF_INET, "100.64.0.2", &to.sin_addr), 1);
	sent = sendto(fd, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	/* Before 6.11 only with a device that computes checksums. */
	if (sent < 0 && errno == EIO) {
		fprintf(stderr, "UDP_SEGMENT: not on this kernel\n");
		stop();
		return;
	}
	ck_assert_int_eq(sent, sizeof(data));
	read_packets(&packets, &bytes);
	ck_assert_uint_eq(packets, 41);
	ck_assert_uint_eq(bytes, sizeof(data) + 41 * 28);
	extraction = extract();
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.totals.tx_packets, packets);
	ck_assert_uint_eq(extraction.totals.tx_bytes, bytes);
	ck_assert(counts_is_zero(&extraction.inexact));
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* Tunnels that can run inside ours. */
struct encapsulation {
	const char *const arguments[12]; /* of `ip link add nlin type` */
	bool ethernet;			 /* it carries Ethernet frames */
	uint8_t proto;			 /* of the outer packet */
	uint16_t port;
	bool udp; /* the inner segments are datagrams */
};

static const struct encapsulation encapsulations[] = {
	{{"vxlan", "id", "7", "remote", "100.64.0.2", "dstport", "4789"}, true, 17, 4789, false},
	{{"vxlan", "id", "7", "remote", "100.64.0.2", "dstport", "4789"}, true, 17, 4789, true},
	{{"geneve", "id", "7", "remote", "100.64.0.2"}, true, 17, 6081, false},
	{{"geneve", "id", "7", "remote", "100.64.0.2"}, true, 17, 6081, true},
	{{"gre", "local", "100.64.0.1", "remote", "100.64.0.2"}, false, 47, 0, false},
	{{"gre", "local", "100.64.0.1", "remote", "100.64.0.2", "key", "9"}, false, 47, 0, true},
	{{"ipip", "local", "100.64.0.1", "remote", "100.64.0.2"}, false, 4, 0, false},
	{{"ipip", "local", "100.64.0.1", "remote", "100.64.0.2"}, false, 4, 0, true},
};

static bool make_inner_tunnel(const struct encapsulation *encapsulation)
{
	const char *arguments[20] = {"ip", "link", "add", "nlin", "type"};
	size_t n = 5;

	for (size_t i = 0; encapsulation->arguments[i]; i++)
		arguments[n++] = encapsulation->arguments[i];
	if (run_program(arguments) != 0)
		return false;
	interface_set_up("nlin", true);
	return true;
}

/* One large segment into the inner tunnel. 0 or -errno. */
static int send_into(const struct encapsulation *encapsulation)
{
	static const uint8_t ethernet[14] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x08, 0x00};
	const struct superpacket_options options = {
		.name = "inner", .udp = encapsulation->udp, .size = 1000, .payload = 30001};
	static uint8_t frame[SUPERPACKET_MAX];
	size_t header = encapsulation->ethernet ? sizeof(ethernet) : 0;
	struct tunnel upper;
	int error;

	tunnel_attach(&upper, "nlin", true);
	superpacket_make(&packet, &options);
	memcpy(frame, ethernet, header);
	memcpy(frame + header, packet.bytes, packet.length);
	packet.header.csum_start = (uint16_t)(packet.header.csum_start + header);
	packet.header.hdr_len = (uint16_t)(packet.header.hdr_len + header);
	error = tunnel_transmit(&upper, 0, &packet.header, frame, header + packet.length);
	tunnel_deinit(&upper);
	return error;
}

/* A large segment inside a tunnel over ours: H reaches through the inner transport header. */
START_TEST(encapsulated_once_more)
{
	const struct encapsulation *encapsulation = &encapsulations[_i];
	struct extraction extraction;
	uint64_t packets, bytes;
	int error;

	start(true);
	set_address(SIOCSIFADDR, "100.64.0.1");
	set_address(SIOCSIFNETMASK, "255.255.255.0");
	error = make_inner_tunnel(encapsulation) ? send_into(encapsulation) : -EOPNOTSUPP;
	if (error == -EOPNOTSUPP || (error == -EINVAL && encapsulation->udp)) {
		fprintf(stderr, "%s, %s: not on this kernel\n", encapsulation->arguments[0],
			encapsulation->udp ? "udp" : "tcp");
		stop();
		return;
	}
	ck_assert_int_eq(error, 0);
	read_packets(&packets, &bytes);
	ck_assert_uint_eq(packets, 31);
	extraction = extract();
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, encapsulation->proto);
	ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, encapsulation->port);
	ck_assert_uint_eq(extraction.totals.tx_packets, packets);
	ck_assert_uint_eq(extraction.totals.tx_bytes, bytes);
	ck_assert(counts_is_zero(&extraction.inexact));
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* Segments that no real device here makes: described by the test run's context. */
struct told {
	const char *name;
	uint8_t proto;
	uint16_t length; /* IPv4 with a header of 20 bytes, then zeros but for the TCP offset */
	uint16_t gso_size;
	uint16_t gso_segs;
	uint64_t packets;
	uint64_t bytes;
	bool inexact;
	bool no_ip_length;
};

static const struct told told[] = {
	{"tcp", 6, 1040, 100, 0, 10, 1000 + 10 * 40, false, false},
	{"tcp, one packet", 6, 90, 100, 1, 1, 90, false, false},
	{"tcp with no IP length", 6, 1040, 100, 0, 10, 1000 + 10 * 40, false, true},
	{"sctp", 132, 1232, 65535, 3, 3, 1200 + 3 * 32, false, false},
	{"sctp without a number", 132, 1232, 65535, 0, 1, 1232, true, false},
	{"esp", 50, 1000, 100, 4, 4, 1000, true, false},
	{"protocol 253", 253, 1000, 100, 0, 10, 1000, true, false},
	{"tcp header cut short", 6, 39, 10, 2, 2, 39, true, false},
};

START_TEST(told_by_the_context)
{
	const struct told *one = &told[_i];
	uint8_t bytes[2048] = {0x45, 0, (uint8_t)(one->length >> 8), (uint8_t)one->length};
	struct program_run run = {
		.packet = bytes, .length = one->length, .gso_size = one->gso_size, .gso_segs = one->gso_segs};
	struct program *program;
	struct program_counts counts;

	if (one->no_ip_length)
		bytes[2] = bytes[3] = 0;
	bytes[9] = one->proto;
	bytes[32] = 0x50;
	ck_assert_int_eq(program_new(16, &program), 0);
	ck_assert_int_eq(program_run(program, &run, NULL), 0);
	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	ck_assert_msg(counts.totals.tx_packets == one->packets, "%s: %llu packets", one->name,
		      (unsigned long long)counts.totals.tx_packets);
	ck_assert_msg(counts.totals.tx_bytes == one->bytes, "%s: %llu bytes", one->name,
		      (unsigned long long)counts.totals.tx_bytes);
	ck_assert_msg(counts.inexact.tx_packets == (one->inexact ? one->packets : 0), "%s", one->name);
	ck_assert_uint_eq(counts.flows.n, 1);
	ck_assert(counts_equal(&counts.flows.items[0].counts, &counts.totals));
	program_counts_deinit(&counts);
	program_free(program);
}
END_TEST

static void with_ebpf(void)
{
	by_packets = false;
}

static void with_packets(void)
{
	by_packets = true;
}

static TCase *make_case(const char *name, void (*setup)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, counts_what_the_kernel_makes_of_it, 0, (int)n_superpackets);
	tcase_add_test(tcase, a_kind_that_is_not_known);
	tcase_add_loop_test(tcase, a_false_beginning_of_the_checksum, 0, (int)n_superpackets);
	tcase_add_test(tcase, udp_segment_of_a_socket);
	tcase_add_loop_test(tcase, encapsulated_once_more, 0,
			    (int)(sizeof(encapsulations) / sizeof(encapsulations[0])));
	if (setup == with_ebpf)
		tcase_add_loop_test(tcase, told_by_the_context, 0, (int)(sizeof(told) / sizeof(told[0])));
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("segments");
	struct epoch *probe = NULL;
	SRunner *runner;
	int failed;

	if (epoch_new(&probe) < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF maps, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	epoch_free(probe);
	suite_add_tcase(suite, make_case("ebpf", with_ebpf));
	suite_add_tcase(suite, make_case("packet", with_packets));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
