/* SPDX-License-Identifier: BSD-3-Clause */
/* tun devices by ioctl, without netlink and without programs, so that it works on a minimal system. */

#include "tests/unit/daemon/device/support/tunnel.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

extern char **environ;

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

bool tunnel_is_possible(void)
{
	pid_t child = fork();
	int status;

	must(child >= 0, "fork");
	if (child == 0) {
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

		_exit(fd < 0 || unshare(CLONE_NEWNET) ? 1 : 0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid");
	return status == 0;
}

static void write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);

	/* A kernel without IPv6 has none of these. */
	if (fd < 0 && errno == ENOENT)
		return;
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
}

void namespace_enter(void)
{
	must(unshare(CLONE_NEWNET) == 0, "unshare");
	write_text("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	write_text("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

void interface_set_up(const char *name, bool up)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	must(ioctl(fd, SIOCGIFFLAGS, &request) == 0, "SIOCGIFFLAGS");
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
	must(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "SIOCSIFFLAGS");
}

/* Large enough for every packet of the vectors. */
static void set_mtu(const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_mtu = 9000};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	must(ioctl(fd, SIOCSIFMTU, &request) == 0, "SIOCSIFMTU");
}

static int open_queue(const struct tunnel *tunnel, const struct tunnel_options *options)
{
	struct ifreq request = {.ifr_flags = IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	must(fd >= 0, "/dev/net/tun");
	request.ifr_flags |= options->ethernet ? IFF_TAP : IFF_TUN;
	if (options->vnet)
		request.ifr_flags |= IFF_VNET_HDR;
	if (options->two_queues)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", tunnel->name);
	must(ioctl(fd, TUNSETIFF, &request) == 0, "TUNSETIFF");
	return fd;
}

static int open_packet_socket(const struct tunnel *tunnel)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)tunnel->ifindex};
	/* Protocol 0: it sends and never receives. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;

	must(fd >= 0, "packet socket");
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	if (tunnel->vnet)
		must(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0, "PACKET_VNET_HDR");
	return fd;
}

void tunnel_init(struct tunnel *tunnel, const struct tunnel_options *options)
{
	*tunnel = (struct tunnel){.fds = {-1, -1}, .sockets = {-1, -1}, .vnet = options->vnet};
	snprintf(tunnel->name, sizeof(tunnel->name), "nl%d", getpid());
	for (int i = 0; i < (options->two_queues ? 2 : 1); i++)
		tunnel->fds[i] = open_queue(tunnel, options);
	set_mtu(tunnel->name);
	interface_set_up(tunnel->name, true);
	tunnel->ifindex = if_nametoindex(tunnel->name);
	for (int i = 0; i < (options->two_queues ? 2 : 1); i++)
		tunnel->sockets[i] = open_packet_socket(tunnel);
}

void tunnel_attach(struct tunnel *tunnel, const char *name, bool vnet)
{
	*tunnel = (struct tunnel){.fds = {-1, -1}, .sockets = {-1, -1}, .vnet = vnet};
	snprintf(tunnel->name, sizeof(tunnel->name), "%s", name);
	tunnel->ifindex = if_nametoindex(name);
	tunnel->sockets[0] = open_packet_socket(tunnel);
}

void tunnel_deinit(struct tunnel *tunnel)
{
	for (int i = 0; i < 2; i++) {
		safe_close(tunnel->fds[i]);
		safe_close(tunnel->sockets[i]);
	}
	*tunnel = (struct tunnel){.fds = {-1, -1}, .sockets = {-1, -1}};
}

static int put(int fd, bool vnet, const struct virtio_net_hdr *header, const void *packet, size_t length)
{
	static const struct virtio_net_hdr none;
	struct iovec parts[2] = {
		{.iov_base = (void *)(header ? header : &none), .iov_len = sizeof(none)},
		{.iov_base = (void *)packet, .iov_len = length},
	};
	ssize_t written = writev(fd, vnet ? parts : parts + 1, vnet ? 2 : 1);

	return written < 0 ? -errno : 0;
}

int tunnel_receive(const struct tunnel *tunnel, int queue, const struct virtio_net_hdr *header,
		   const void *packet, size_t length)
{
	return put(tunnel->fds[queue], tunnel->vnet, header, packet, length);
}

int tunnel_transmit(const struct tunnel *tunnel, int queue, const struct virtio_net_hdr *header,
		    const void *packet, size_t length)
{
	return put(tunnel->sockets[queue], tunnel->vnet, header, packet, length);
}

size_t tunnel_read(const struct tunnel *tunnel, int queue, void *packet, size_t size)
{
	struct virtio_net_hdr header;
	struct iovec parts[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = packet, .iov_len = size},
	};
	ssize_t length = readv(tunnel->fds[queue], tunnel->vnet ? parts : parts + 1, tunnel->vnet ? 2 : 1);

	if (length < 0 && errno == EAGAIN)
		return 0;
	must(length >= 0, "tun read");
	return (size_t)length - (tunnel->vnet ? sizeof(header) : 0);
}

int run_program(const char *const arguments[])
{
	posix_spawn_file_actions_t actions;
	int status = -1, error;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	error = posix_spawnp(&child, arguments[0], &actions, NULL, (char *const *)arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) != 127 ? WEXITSTATUS(status) : -1;
}
