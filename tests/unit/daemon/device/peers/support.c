/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/daemon/device/peers/support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char uapi_text[] = "private_key=" SECRET "\n"
			 "listen_port=51820\n"
			 "fwmark=51820\n"
			 "public_key=" KEY_B "\n"
			 "preshared_key=" SECRET "\n"
			 "protocol_version=1\n"
			 "endpoint=192.0.2.7:4500\n"
			 "last_handshake_time_sec=1700000000\n"
			 "last_handshake_time_nsec=123\n"
			 "tx_bytes=10\n"
			 "rx_bytes=18446744073709551615\n"
			 "persistent_keepalive_interval=25\n"
			 "allowed_ip=10.0.0.0/8\n"
			 "allowed_ip=100.64.0.9/32\n"
			 "allowed_ip=100.64.0.8/32\n"
			 "allowed_ip=fd7a::1/128\n"
			 "public_key=" KEY_A "\n"
			 "endpoint=[fe80::1%eth0]:51821\n"
			 "from_a_later_version=x\n"
			 "allowed_ip=10.1.2.3/16\n"
			 "allowed_ip=fd00::/64\n"
			 "errno=0\n"
			 "\n";

void check_uapi_peers(const struct wg_peers *peers)
{
	char endpoint[ENDPOINT_TEXT_MAX], address[ADDRESS_TEXT_MAX];
	struct address tailnet;

	ck_assert_uint_eq(peers->n, 2);
	ck_assert_uint_eq(peers->listen_port, 51820);
	ck_assert_uint_eq(peers->fwmark, 51820);
	/* Sorted by key, so A comes first. */
	endpoint_format(&peers->items[0].endpoint, endpoint);
	ck_assert_str_eq(endpoint, "[fe80::1]:51821");
	ck_assert_uint_eq(peers->items[0].tx_bytes, 0);
	tailnet = wg_peer_tailnet_address(&peers->items[0]);
	address_format(&tailnet, address);
	ck_assert_str_eq(address, "10.1.2.3");
	endpoint_format(&peers->items[1].endpoint, endpoint);
	ck_assert_str_eq(endpoint, "192.0.2.7:4500");
	ck_assert_uint_eq(peers->items[1].rx_bytes, UINT64_MAX);
	ck_assert_uint_eq(peers->items[1].tx_bytes, 10);
	ck_assert_int_eq(peers->items[1].last_handshake, 1700000000000000123);
	ck_assert_uint_eq(peers->items[1].allowed_ips.n, 4);
	tailnet = wg_peer_tailnet_address(&peers->items[1]);
	address_format(&tailnet, address);
	ck_assert_str_eq(address, "100.64.0.8");
}

static void *serve(void *userdata)
{
	struct tunnel *tunnel = userdata;
	int fd;

	while ((fd = accept(tunnel->listen_fd, NULL, NULL)) >= 0) {
		char request[64];

		if (recv(fd, request, sizeof(request), 0) == 7 && memcmp(request, "get=1\n\n", 7) == 0 &&
		    tunnel->reply)
			send(fd, tunnel->reply, strlen(tunnel->reply), MSG_NOSIGNAL);
		while (tunnel->trickle && send(fd, "x=y\n", 4, MSG_NOSIGNAL) > 0)
			;
		/* Until the reader gives up. */
		while (!tunnel->reply && recv(fd, request, sizeof(request), 0) > 0)
			;
		close(fd);
	}
	return NULL;
}

void tunnel_start(struct tunnel *tunnel, const char *reply)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	scratch_make(tunnel->folder);
	snprintf(tunnel->path, sizeof(tunnel->path), "%s/wg0.sock", tunnel->folder);
	memcpy(address.sun_path, tunnel->path, strlen(tunnel->path) + 1);
	tunnel->reply = reply;
	tunnel->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(tunnel->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(tunnel->listen_fd, 4), 0);
	ck_assert_int_eq(pthread_create(&tunnel->thread, NULL, serve, tunnel), 0);
}

void tunnel_stop(struct tunnel *tunnel)
{
	shutdown(tunnel->listen_fd, SHUT_RDWR);
	pthread_join(tunnel->thread, NULL);
	close(tunnel->listen_fd);
}
