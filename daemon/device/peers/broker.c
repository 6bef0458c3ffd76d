/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter is a list of the keys that may pass, not of those that may not: a key of a later WireGuard stays
 * out until somebody has read what it contains.
 */

#include "daemon/device/peers/broker.h"

#include "common/time_text.h"
#include "common/unix_socket.h"
#include "daemon/device/peers/owner.h"
#include "daemon/device/peers/socket.h"

#include <errno.h>
#include <nettle/base16.h>
#include <stdio.h>
#include <string.h>

#define RECEIVE_SIZE (16 * 1024)
/* For a client to finish a request, and to receive the answer. */
#define CLIENT_TIMEOUT (2 * NSEC_PER_SEC)
/* For the tunnel to answer. */
#define TUNNEL_TIMEOUT (1000 * NSEC_PER_MSEC)
#define REQUEST_BEGIN  "interface="
#define REQUEST_END    "\nget=1\n\n"
#define REQUEST_HERE   "\nhere=1\nget=1\n\n"
#define REQUEST_NAMES  "\nnames="
/* What is sent at once of many names. */
#define NAMES_PIECE (64 * 1024)

bool wg_broker_is_interface(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && !strpbrk(name, "/\n") && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

void wg_broker_request(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX])
{
	snprintf(ret_text, WG_BROKER_REQUEST_MAX, REQUEST_BEGIN "%.*s" REQUEST_END, IFNAMSIZ - 1, interface);
}

void wg_broker_request_here(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX])
{
	snprintf(ret_text, WG_BROKER_REQUEST_MAX, REQUEST_BEGIN "%.*s" REQUEST_HERE, IFNAMSIZ - 1, interface);
}

bool wg_broker_is_here(const char *text)
{
	return strstr(text, REQUEST_HERE) != NULL;
}

void wg_broker_request_names(const char *interface, const char *token,
			     char ret_text[static WG_BROKER_REQUEST_MAX])
{
	snprintf(ret_text, WG_BROKER_REQUEST_MAX, REQUEST_BEGIN "%.*s" REQUEST_NAMES "%.*s\n\n", IFNAMSIZ - 1,
		 interface, WG_NAMES_TOKEN_MAX - 1, token);
}

/* What follows the interface is names=TOKEN, and nothing else. */
static bool is_names_request(const char *rest, size_t *ret_token_length)
{
	const char *token = rest + strlen(REQUEST_NAMES);

	if (strncmp(rest, REQUEST_NAMES, strlen(REQUEST_NAMES)) != 0)
		return false;
	*ret_token_length = strspn(token, "0123456789abcdef-.");
	return *ret_token_length < WG_NAMES_TOKEN_MAX && strcmp(token + *ret_token_length, "\n\n") == 0;
}

bool wg_broker_is_names(const char *text, char ret_token[static WG_NAMES_TOKEN_MAX])
{
	const char *rest = strchr(text, '\n');
	size_t n = 0;

	if (!rest || !is_names_request(rest, &n))
		return false;
	memcpy(ret_token, rest + strlen(REQUEST_NAMES), n);
	ret_token[n] = '\0';
	return true;
}

int wg_broker_parse_request(const char *text, char ret_interface[static IFNAMSIZ])
{
	size_t begin = strlen(REQUEST_BEGIN), n, token;
	char name[IFNAMSIZ];

	if (strncmp(text, REQUEST_BEGIN, begin) != 0)
		return -EBADMSG;
	n = strcspn(text + begin, "\n");
	if (n >= sizeof(name) ||
	    (strcmp(text + begin + n, REQUEST_END) != 0 && strcmp(text + begin + n, REQUEST_HERE) != 0 &&
	     !is_names_request(text + begin + n, &token)))
		return -EBADMSG;
	memcpy(name, text + begin, n);
	name[n] = '\0';
	if (!wg_broker_is_interface(name))
		return -EBADMSG;
	memcpy(ret_interface, name, sizeof(name));
	return 0;
}

/* --- the filter --- */

void wg_broker_filter_deinit(struct wg_broker_filter *filter)
{
	explicit_bzero(filter, sizeof(*filter));
}

static bool may_pass(const char *line)
{
	static const char *const keys[] = {
		"listen_port",
		"fwmark",
		"public_key",
		"endpoint",
		"last_handshake_time_sec",
		"last_handshake_time_nsec",
		"rx_bytes",
		"tx_bytes",
		"allowed_ip",
		"errno",
	};
	size_t n = strcspn(line, "=");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i]) == n && memcmp(line, keys[i], n) == 0)
			return true;
	return false;
}

int wg_broker_filter_feed(struct wg_broker_filter *filter, const char *data, size_t n, struct buffer *out)
{
	for (size_t i = 0; i < n; i++) {
		if (filter->done || data[i] == '\0')
			return -EBADMSG;
		if (data[i] != '\n') {
			if (filter->length == sizeof(filter->line) - 1)
				return -EBADMSG;
			filter->line[filter->length++] = data[i];
			continue;
		}
		filter->line[filter->length] = '\0';
		if (filter->length == 0)
			filter->done = true;
		else if (!strchr(filter->line, '='))
			return -EBADMSG;
		if (filter->done || may_pass(filter->line)) {
			buffer_append(out, filter->line, filter->length);
			buffer_append_char(out, '\n');
		}
		explicit_bzero(filter->line, filter->length);
		filter->length = 0;
		if (buffer_error(out) < 0)
			return buffer_error(out);
	}
	return 0;
}

/* --- one request --- */

struct request {
	char interface[IFNAMSIZ];
	bool here;
	bool names;
	char token[WG_NAMES_TOKEN_MAX];
};

/* 1 with a request, 0 when the client has closed the connection. The next request must not arrive before this
 * one is answered. */
static int receive_request(int fd, struct request *ret_request)
{
	char text[WG_BROKER_REQUEST_MAX];
	int64_t deadline = INT64_MAX;
	size_t n = 0;
	int r;

	do {
		ssize_t received = wg_socket_receive(fd, text + n, sizeof(text) - 1 - n, deadline);

		if (received < 0)
			return (int)received;
		if (received == 0)
			return n == 0 ? 0 : -EBADMSG;
		n += (size_t)received;
		text[n] = '\0';
		if (deadline == INT64_MAX)
			deadline = time_now_boot() + CLIENT_TIMEOUT;
	} while (n < sizeof(text) - 1 && !strstr(text, "\n\n"));
	if (strlen(text) != n)
		return -EBADMSG;
	r = wg_broker_parse_request(text, ret_request->interface);
	if (r < 0)
		return r;
	ret_request->names = wg_broker_is_names(text, ret_request->token);
	ret_request->here = wg_broker_is_here(text);
	return 1;
}

/* Whether the tunnel of the process that answered can be one in the network namespace of the client. */
static int check_owner(pid_t sender, int client, const char *interface)
{
	struct unix_peer peer;
	int r = unix_socket_peer(client, &peer);

	if (r < 0)
		return r;
	return peer.pid ? wg_owner_check(sender, peer.pid, interface) : -ESRCH;
}

/* Passes the answer on piece by piece, so that its size does not matter. *ret_begun: part of it was sent. */
static int relay(int tunnel, int client, const char *interface, bool here, int64_t deadline, bool *ret_begun)
{
	_cleanup_(wg_broker_filter_deinit) struct wg_broker_filter filter = {};
	_cleanup_buffer_ struct buffer out = {};
	char buffer[RECEIVE_SIZE];
	bool checked = !here;
	pid_t sender;
	int r = 0;

	while (r == 0 && !filter.done) {
		ssize_t n = wg_socket_receive_from(tunnel, buffer, sizeof(buffer), deadline, &sender);

		if (n <= 0)
			return n == 0 ? -EBADMSG : (int)n;
		buffer_reset(&out);
		if (!checked)
			r = check_owner(sender, client, interface);
		checked = true;
		if (r == 0)
			r = wg_broker_filter_feed(&filter, buffer, (size_t)n, &out);
		explicit_bzero(buffer, (size_t)n);
		if (r == 0 && out.length) {
			*ret_begun = true;
			r = wg_socket_send(client, out.data, out.length, time_now_boot() + CLIENT_TIMEOUT);
		}
		/* An endless trickle must not hold us either. */
		if (r == 0 && !filter.done && time_now_boot() >= deadline)
			r = -ETIMEDOUT;
	}
	return r;
}

static int ask_tunnel(int client, const char *folder, const char *interface, bool here, bool *ret_begun)
{
	static const char request[] = "get=1\n\n";
	int64_t deadline = time_now_boot() + TUNNEL_TIMEOUT;
	_cleanup_close_ int tunnel = -1;
	char path[128];
	int r = 0;

	if (snprintf(path, sizeof(path), "%s/%s.sock", folder, interface) >= (int)sizeof(path))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = unix_socket_connect(path, TUNNEL_TIMEOUT, &tunnel);
	/* The socket is the interface: they exist together. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return -ENODEV;
	if (r == 0)
		r = wg_socket_ask_sender(tunnel);
	if (r == 0)
		r = wg_socket_send(tunnel, request, strlen(request), deadline);
	return r < 0 ? r : relay(tunnel, client, interface, here, deadline, ret_begun);
}

/* --- names --- */

static int send_names(int client, const char *token, const struct wg_names *names, bool *ret_begun)
{
	_cleanup_buffer_ struct buffer out = {};
	char key[BASE16_ENCODE_LENGTH(WG_PEERS_KEY_SIZE)];
	int r = 0;

	buffer_printf(&out, "token=%s\n", token);
	if (!names)
		buffer_append_text(&out, "unchanged=1\n");
	else if (names->cut)
		buffer_append_text(&out, "cut=1\n");
	for (size_t i = 0; r == 0 && names && i < names->n; i++) {
		base16_encode_update(key, WG_PEERS_KEY_SIZE, names->items[i].public_key);
		buffer_append_text(&out, "public_key=");
		buffer_append(&out, key, sizeof(key));
		buffer_append_text(&out, "\nname=");
		buffer_append_text(&out, wg_names_text(names, i));
		buffer_append_char(&out, '\n');
		if (out.length < NAMES_PIECE || buffer_error(&out))
			continue;
		*ret_begun = true;
		r = wg_socket_send(client, out.data, out.length, time_now_boot() + CLIENT_TIMEOUT);
		buffer_reset(&out);
	}
	buffer_append_text(&out, "errno=0\n\n");
	if (r == 0)
		r = buffer_error(&out);
	if (r < 0)
		return r;
	*ret_begun = true;
	return wg_socket_send(client, out.data, out.length, time_now_boot() + CLIENT_TIMEOUT);
}

/* The name of an interface is safe as part of a path. */
static int tell_names(int client, const char *folder, struct request *request, bool *ret_begun)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char path[128];
	int r = 0;

	if (snprintf(path, sizeof(path), "%s/%s.conf", folder, request->interface) >= (int)sizeof(path))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = wg_names_file_read(path, request->token, &names);
	return r < 0 ? r : send_names(client, request->token, r == 0 ? NULL : &names, ret_begun);
}

/* --- both --- */

int wg_broker_serve(int client_fd, const struct wg_broker_folders *folders)
{
	struct request request;
	char text[32];
	int r;

	while ((r = receive_request(client_fd, &request)) > 0) {
		bool begun = false;

		if (request.names)
			r = tell_names(client_fd, folders->names, &request, &begun);
		else
			r = ask_tunnel(client_fd, folders->sockets, request.interface, request.here, &begun);
		if (r == 0)
			continue;
		/* Within an answer an error can only be reported by closing the connection. */
		if (begun)
			return r;
		snprintf(text, sizeof(text), "errno=%d\n\n", -r);
		r = wg_socket_send(client_fd, text, strlen(text), time_now_boot() + CLIENT_TIMEOUT);
		if (r < 0)
			return r;
	}
	return r;
}
