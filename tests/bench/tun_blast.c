/*
 * Pushes small UDP packets into a tun device as fast as it takes them, as a tunnel's daemon would, and prints
 *what one packet cost. The interface must be there and up. Used by compare.py.
 *
 *	tun_blast INTERFACE CONNECTIONS SECONDS     each connection in turn
 *	tun_blast INTERFACE scan SECONDS            each packet is a new connection
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_SIZE 64
#define LOOK_EVERY  1024 /* packets between two looks at the clock */

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

/* Connection i: from 100.64.128.0 and up, 16 ports each, to 100.64.0.1 port 9 (discard). */
static void fill(struct packet *packet, uint32_t i)
{
	memset(packet, 0, sizeof(*packet));
	packet->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(PACKET_SIZE),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(0x64408000 + i / 16),
		.daddr = htonl(0x64400001),
	};
	packet->ip.check = checksum(&packet->ip, sizeof(packet->ip));
	packet->udp = (struct udphdr){
		.source = htons((uint16_t)(20000 + i % 16)),
		.dest = htons(9),
		.len = htons(PACKET_SIZE - sizeof(struct iphdr)),
	};
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
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

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* For a scan: the next pair of ports, which no checksum in use covers. */
static void next_connection(struct packet *packet, uint32_t i)
{
	packet->udp.source = htons((uint16_t)i);
	packet->udp.dest = htons((uint16_t)(i >> 16));
}

static int blast(int fd, struct packet *packets, uint32_t n, bool scan, double seconds)
{
	double begun = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall;
	uint64_t sent = 0;
	uint32_t at = 0;

	do {
		for (unsigned int i = 0; i < LOOK_EVERY; i++, sent++) {
			if (scan)
				next_connection(packets, (uint32_t)sent);
			if (write(fd, &packets[at], PACKET_SIZE) != PACKET_SIZE)
				return -1;
			at = at + 1 == n ? 0 : at + 1;
		}
		wall = now(CLOCK_MONOTONIC) - begun;
	} while (wall < seconds);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"packets\": %llu, \"bytes\": %llu, \"wallNs\": %.2f, \"cpuNs\": %.2f}\n",
	       (unsigned long long)sent, (unsigned long long)sent * PACKET_SIZE, wall / (double)sent * 1e9,
	       cpu / (double)sent * 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	struct packet *packets;
	bool scan;
	uint32_t n;
	int fd, r;

	if (argc != 4) {
		fprintf(stderr, "usage: tun_blast INTERFACE CONNECTIONS|scan SECONDS\n");
		return 64;
	}
	scan = strcmp(argv[2], "scan") == 0;
	n = scan ? 1 : (uint32_t)strtoul(argv[2], NULL, 10);
	packets = n ? calloc(n, sizeof(*packets)) : NULL;
	fd = open_tun(argv[1]);
	if (!packets || fd < 0) {
		fprintf(stderr, "tun_blast: %s: %s\n", argv[1], strerror(errno));
		free(packets);
		return 1;
	}
	for (uint32_t i = 0; i < n; i++)
		fill(&packets[i], i);
	r = blast(fd, packets, n, scan, strtod(argv[3], NULL));
	if (r < 0)
		fprintf(stderr, "tun_blast: %s\n", strerror(errno));
	close(fd);
	free(packets);
	return r < 0;
}
