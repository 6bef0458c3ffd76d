/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pushes small UDP packets into a tun device as fast as possible, as a tunnel's daemon would, and prints the
 * cost of a packet. The interface must exist and be up. Used by compare.py and by the soak test.
 *
 *	tun_blast [OPTIONS] INTERFACE CONNECTIONS SECONDS     these connections
 *	tun_blast [OPTIONS] INTERFACE scan SECONDS            each packet is a new connection
 *
 *	-c CPU       stays on this CPU
 *	-e           an empty program on the interface's ingress, for comparison
 *	-n PACKETS   after so many packets, a new connection replaces an old one
 *	-o ORDER     of the packets, after one of each connection: `turn` (the connections in turn; the
 *	             default), `shuffled` (each packet's at random) or `trains` (one to sixteen packets of a
 *	             connection, most trains of a few connections: the probability falls as 1 / rank)
 *	-p           sends from an array of prepared packets, 64 bytes for each connection. Without it each
 *	             packet is made in the same memory, as a tunnel's daemon decrypts into memory that it uses
 *	             again. The array shows what counting costs a sender whose own data just fits the cache.
 *	-q           the interface has several queues, and this is one of them
 *	-t           the other direction: the same connections' packets go from the kernel to the interface
 *	-w ROUNDS    works on each packet before it is sent, as a tunnel's daemon decrypts: so many dependent
 *	             multiplications, each about a nanosecond
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define PACKET_SIZE 64
#define LOOK_EVERY  1024 /* packets between two readings of the clock */

enum order { ORDER_TURN, ORDER_SHUFFLED, ORDER_TRAINS, N_ORDERS };

static const char *const order_names[] = {"turn", "shuffled", "trains"};

#define TRAIN_MAX 16

struct options {
	int cpu; /* -1: any */
	enum order order;
	bool empty_program;
	bool prepared;
	uint64_t new_every; /* 0: never */
	bool queue;
	bool transmit;
	bool scan;
	uint32_t work; /* multiplications for each packet */
	uint32_t connections;
	double seconds;
	const char *interface;
};

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	char payload[PACKET_SIZE - sizeof(struct iphdr) - sizeof(struct udphdr)];
};

static uint16_t checksum(const void *data, size_t size)
{
	const uint16_t *words = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < size / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Connection i: from 100.64.128.0 and up, 16 ports each, to 100.64.0.1 port 9 (discard); or back from there.
 */
static void fill(struct packet *packet, uint32_t i, bool back)
{
	uint32_t far = htonl(0x64408000 + i / 16), near = htonl(0x64400001);
	uint16_t far_port = htons((uint16_t)(20000 + i % 16)), near_port = htons(9);

	memset(packet, 0, sizeof(*packet));
	packet->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(PACKET_SIZE),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = back ? near : far,
		.daddr = back ? far : near,
	};
	packet->ip.check = checksum(&packet->ip, sizeof(packet->ip));
	packet->udp = (struct udphdr){
		.source = back ? near_port : far_port,
		.dest = back ? far_port : near_port,
		.len = htons(PACKET_SIZE - sizeof(struct iphdr)),
	};
}

static int open_tun(const char *name, bool queue)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (queue ? IFF_MULTI_QUEUE : 0))};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Packets with the header that is given, out of this interface wherever they go. */
static int open_raw(const char *name)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What to send: prepared packets, or the ports of each connection's and one packet to make them in. */
struct load {
	struct packet *packets;
	struct ports {
		uint16_t far, near;
	} * ports;
	bool prepared;
	bool back;
};

static void set_ports(struct packet *packet, struct ports ports, bool back)
{
	packet->udp.source = back ? ports.near : ports.far;
	packet->udp.dest = back ? ports.far : ports.near;
}

/* The next pair of ports, which no checksum in use covers. */
static void next_connection(struct load *load, uint32_t at, uint32_t i)
{
	load->ports[at] = (struct ports){htons((uint16_t)i), htons((uint16_t)(i >> 16))};
	if (load->prepared)
		set_ports(&load->packets[at], load->ports[at], load->back);
}

static const struct packet *packet_of(struct load *load, uint32_t at)
{
	if (load->prepared)
		return &load->packets[at];
	fill(load->packets, at, load->back);
	set_ports(load->packets, load->ports[at], load->back);
	return load->packets;
}

static bool push(int fd, const struct packet *packet, bool transmit)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = packet->ip.daddr};

	if (!transmit)
		return write(fd, packet, PACKET_SIZE) == PACKET_SIZE;
	return sendto(fd, packet, PACKET_SIZE, 0, (struct sockaddr *)&to, sizeof(to)) == PACKET_SIZE;
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 32);
}

/* 1 to max, each with a probability that falls as 1 / number. */
static uint32_t choose_rank(uint64_t *state, uint32_t max)
{
	uint32_t bits = 32 - (uint32_t)__builtin_clz(max), rank;

	do {
		uint32_t top = next_random(state) % bits;

		rank = (1U << top) + (next_random(state) & ((1U << top) - 1));
	} while (rank > max);
	return rank;
}

/* Whose packet is next. */
struct sequence {
	uint64_t random;
	uint32_t at;
	uint32_t train; /* packets of it that are still to come */
};

static void step(struct sequence *sequence, uint64_t sent, const struct options *options)
{
	uint32_t n = options->connections;

	if (options->order == ORDER_TURN || sent < n) {
		sequence->at = sequence->at + 1 == n ? 0 : sequence->at + 1;
	} else if (options->order == ORDER_SHUFFLED) {
		sequence->at = (uint32_t)((uint64_t)next_random(&sequence->random) * n >> 32);
	} else if (sequence->train > 0) {
		sequence->train--;
	} else {
		/* Ranks are not in the order of the addresses. */
		sequence->at = (uint32_t)((choose_rank(&sequence->random, n) - 1) * 61803ULL % n);
		sequence->train = choose_rank(&sequence->random, TRAIN_MAX) - 1;
	}
}

static void work(uint32_t rounds)
{
	uint64_t product = 1;

	for (uint32_t i = 0; i < rounds; i++) {
		product *= 6364136223846793005ULL;
		/* The compiler may not leave it out. */
		asm volatile("" : "+r"(product));
	}
}

static int blast(int fd, struct load *load, const struct options *options)
{
	uint64_t every = options->scan ? 1 : options->new_every, sent = 0;
	double begun = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall;
	uint32_t made = 0, until_new = (uint32_t)every;
	struct sequence sequence = {.random = options->connections};

	do {
		for (unsigned int i = 0; i < LOOK_EVERY; i++, sent++) {
			if (every && --until_new == 0) {
				next_connection(load, sequence.at, made++);
				until_new = (uint32_t)every;
			}
			work(options->work);
			if (!push(fd, packet_of(load, sequence.at), options->transmit))
				return -1;
			step(&sequence, sent, options);
		}
		wall = now(CLOCK_MONOTONIC) - begun;
	} while (wall < options->seconds);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"packets\": %llu, \"bytes\": %llu, \"wallNs\": %.2f, \"cpuNs\": %.2f}\n",
	       (unsigned long long)sent, (unsigned long long)sent * PACKET_SIZE, wall / (double)sent * 1e9,
	       cpu / (double)sent * 1e9);
	return 0;
}

/* Until this process ends. */
static int attach_empty_program(const char *interface)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, NULL);

	if (program < 0)
		return -1;
	/* BPF_TCX_INGRESS */
	return bpf_link_create(program, (int)if_nametoindex(interface), (enum bpf_attach_type)46, NULL) < 0
		       ? -1
		       : 0;
}

static bool parse_order(const char *text, enum order *ret_order)
{
	for (int i = 0; i < N_ORDERS; i++)
		if (strcmp(text, order_names[i]) == 0) {
			*ret_order = (enum order)i;
			return true;
		}
	return false;
}

static int stay_on(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static bool parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = {.cpu = -1};
	int c;

	while ((c = getopt(argc, argv, "c:en:o:pqtw:")) != -1)
		switch (c) {
		case 'c':
			options.cpu = atoi(optarg);
			break;
		case 'e':
			options.empty_program = true;
			break;
		case 'o':
			if (!parse_order(optarg, &options.order))
				return false;
			break;
		case 'n':
			options.new_every = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			options.prepared = true;
			break;
		case 'q':
			options.queue = true;
			break;
		case 't':
			options.transmit = true;
			break;
		case 'w':
			options.work = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	if (argc - optind != 3)
		return false;
	options.interface = argv[optind];
	options.scan = strcmp(argv[optind + 1], "scan") == 0;
	options.connections = options.scan ? 1 : (uint32_t)strtoul(argv[optind + 1], NULL, 10);
	options.seconds = strtod(argv[optind + 2], NULL);
	*ret_options = options;
	return options.connections > 0;
}

static int prepare(struct load *ret_load, const struct options *options)
{
	struct load load = {.prepared = options->prepared, .back = options->transmit};

	load.packets = calloc(options->prepared ? options->connections : 1, sizeof(*load.packets));
	load.ports = calloc(options->connections, sizeof(*load.ports));
	if (!load.packets || !load.ports) {
		free(load.packets);
		free(load.ports);
		return -1;
	}
	for (uint32_t i = 0; i < options->connections; i++) {
		struct packet packet;

		fill(&packet, i, false);
		load.ports[i] = (struct ports){packet.udp.source, packet.udp.dest};
		if (options->prepared)
			fill(&load.packets[i], i, options->transmit);
	}
	*ret_load = load;
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {};
	struct load load = {};
	int fd, r;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr,
			"usage: tun_blast [-c CPU] [-e] [-n PACKETS] [-o ORDER] [-p] [-q] [-t] [-w ROUNDS] INTERFACE "
			"CONNECTIONS|scan SECONDS\n");
		return 64;
	}
	fd = options.transmit ? open_raw(options.interface) : open_tun(options.interface, options.queue);
	if (prepare(&load, &options) < 0 || fd < 0 || stay_on(options.cpu) < 0 ||
	    (options.empty_program && attach_empty_program(options.interface) < 0)) {
		fprintf(stderr, "tun_blast: %s: %s\n", options.interface, strerror(errno));
		free(load.packets);
		free(load.ports);
		return 1;
	}
	r = blast(fd, &load, &options);
	if (r < 0)
		fprintf(stderr, "tun_blast: %s\n", strerror(errno));
	close(fd);
	free(load.packets);
	free(load.ports);
	return r < 0;
}
