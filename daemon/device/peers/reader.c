/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket is only connected to and asked: a change of its mode or group would shut wireguard-go down. If
 * netlogd may not connect to it, the broker is asked instead.
 */

#include "daemon/device/peers/reader.h"

#include "common/time_text.h"
#include "common/unix_socket.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/netlink_format.h"
#include "daemon/device/peers/owner.h"
#include "daemon/device/peers/socket.h"
#include "daemon/device/peers/uapi_format.h"
#include "daemon/net/netlink.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define RECEIVE_SIZE (16 * 1024)
#define READ_TRIES   4
#define ERRNO_MAX    4096

struct wg_reader {
	char interface[IFNAMSIZ];
	char *socket_path; /* NULL: the kernel is asked */
	char *broker_path; /* NULL: none */
	int broker_fd;	   /* stays connected between readings */
	bool brokered;	   /* the last reading came from the broker */
	pid_t owner;	   /* serves the socket, and may do so for this interface; 0: not asked yet */
	char *source;
	struct rtnl *rtnl; /* for the names of links; made when it is needed */
	struct netlink *netlink;
	uint16_t family;
};

void wg_reader_free(struct wg_reader *reader)
{
	if (!reader)
		return;
	netlink_free(reader->netlink);
	rtnl_free(reader->rtnl);
	safe_close(reader->broker_fd);
	free(reader->socket_path);
	free(reader->broker_path);
	free(reader->source);
	free(reader);
}

bool wg_reader_is_userspace(const struct wg_reader *reader)
{
	return reader->socket_path != NULL;
}

const char *wg_reader_source(struct wg_reader *reader)
{
	if (!reader->socket_path)
		return "generic netlink";
	if (!reader->brokered)
		return reader->socket_path;
	if (!reader->source && asprintf(&reader->source, "%s by the broker", reader->socket_path) < 0)
		reader->source = NULL;
	return reader->source ? reader->source : reader->socket_path;
}

/* --- userspace --- */

/* 0, or as wg_owner_check(). */
static int check_owner(struct wg_reader *reader, pid_t sender)
{
	int r = sender && sender == reader->owner ? 0 : wg_owner_check(sender, 0, reader->interface);

	if (r == 0)
		reader->owner = sender;
	return r;
}

/* `reader` checks whose answer it is; NULL: the broker's, which has done so. *ret_error: the errno that the
 * other side answered with; 0: success. */
static int ask(struct wg_reader *reader, int fd, const char *request, int64_t deadline,
	       struct wg_peers *peers, int64_t *ret_error)
{
	_cleanup_(uapi_answer_deinit) struct uapi_answer answer = {};
	int r = reader ? wg_socket_ask_sender(fd) : 0;
	char buffer[RECEIVE_SIZE];
	bool checked = !reader;
	pid_t sender;

	if (r == 0)
		r = wg_socket_send(fd, request, strlen(request), deadline);

	while (r == 0 && !answer.done) {
		ssize_t n = wg_socket_receive_from(fd, buffer, sizeof(buffer), deadline, &sender);

		if (n <= 0)
			return n == 0 ? -EBADMSG : (int)n;
		if (!checked)
			r = check_owner(reader, sender);
		checked = true;
		if (r == 0)
			r = uapi_answer_feed(&answer, buffer, (size_t)n, peers);
		explicit_bzero(buffer, (size_t)n);
		/* An endless trickle must not hold us either. */
		if (r == 0 && !answer.done && time_now_boot() >= deadline)
			r = -ETIMEDOUT;
	}
	*ret_error = answer.error;
	return r;
}

static int ask_broker(struct wg_reader *reader, int64_t deadline, struct wg_peers *peers)
{
	char request[WG_BROKER_REQUEST_MAX];
	int64_t error = 0;
	int r = 0;

	if (reader->broker_fd < 0)
		r = unix_socket_connect(reader->broker_path, deadline - time_now_boot(), &reader->broker_fd);
	/* No broker: the socket's own answer stands. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return -EACCES;
	if (r < 0)
		return r;
	wg_broker_request_here(reader->interface, request);
	r = ask(NULL, reader->broker_fd, request, deadline, peers, &error);
	if (r < 0)
		reader->broker_fd = safe_close(reader->broker_fd);
	if (r == 0 && error)
		r = error < ERRNO_MAX ? -(int)error : -EIO;
	return r;
}

static int read_by_broker(struct wg_reader *reader, int64_t deadline, struct wg_peers *peers)
{
	bool kept = reader->broker_fd >= 0;
	int r = ask_broker(reader, deadline, peers);

	/* A connection from an earlier reading may have been closed since. */
	if (kept && reader->broker_fd < 0 && r != -ETIMEDOUT) {
		wg_peers_deinit(peers);
		r = ask_broker(reader, deadline, peers);
	}
	reader->brokered = r == 0;
	return r;
}

static int read_userspace(struct wg_reader *reader, struct wg_peers *peers)
{
	int64_t timeout = WG_READER_TIMEOUT_MS * NSEC_PER_MSEC, deadline = time_now_boot() + timeout;
	_cleanup_close_ int fd = -1;
	int64_t error = 0;
	int r = unix_socket_connect(reader->socket_path, timeout, &fd);

	/* The socket is the interface: they exist together. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return -ENODEV;
	if (r == -EACCES && reader->broker_path)
		return read_by_broker(reader, deadline, peers);
	if (r == 0)
		r = ask(reader, fd, "get=1\n\n", deadline, peers, &error);
	/* It cannot be seen from here, but perhaps by the broker. */
	if (r == -ESRCH && reader->broker_path) {
		wg_peers_deinit(peers);
		r = read_by_broker(reader, deadline, peers);
		return r == -EACCES ? -ESRCH : r;
	}
	return r == 0 && error ? -EIO : r;
}

/* --- kernel --- */

static struct nlmsghdr *put_request(char *buffer, uint16_t type, uint16_t flags, uint8_t command,
				    uint8_t version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = command;
	genl->version = version;
	return nlh;
}

static int take_family(const struct nlmsghdr *message, void *userdata)
{
	uint16_t *family = userdata;
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
		return -EBADMSG;
	mnl_attr_for_each (attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
		    mnl_attr_get_payload_len(attr) >= sizeof(*family))
			*family = mnl_attr_get_u16(attr);
	}
	return *family ? 0 : -EBADMSG;
}

static int take_peers(const struct nlmsghdr *message, void *userdata)
{
	return wg_netlink_read(message, userdata);
}

static int read_kernel(struct wg_reader *reader, struct wg_peers *peers)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = put_request(buffer, reader->family, NLM_F_REQUEST | NLM_F_DUMP,
					   WG_CMD_GET_DEVICE, WG_GENL_VERSION);

	mnl_attr_put_strz(nlh, WGDEVICE_A_IFNAME, reader->interface);
	return netlink_request(reader->netlink, nlh, WG_READER_TIMEOUT_MS, take_peers, peers,
			       &peers->interrupted);
}

/* --- both --- */

/* From the names of links to their indexes. An unknown name is none of this network namespace. */
static int look_up_zones(struct wg_reader *reader, struct wg_peers *peers)
{
	const struct wg_peer *last = NULL;
	int r = 0;

	for (size_t i = 0; i < peers->n && r == 0; ++i) {
		struct wg_peer *peer = &peers->items[i];
		struct rtnl_link link = {};

		if (!peer->zone[0])
			continue;
		if (last && strcmp(last->zone, peer->zone) == 0) {
			peer->link = last->link;
			continue;
		}
		if (!reader->rtnl)
			r = rtnl_new(&reader->rtnl);
		if (r == 0)
			r = rtnl_get_link(reader->rtnl, peer->zone, 0, &link);
		if (r == -ENODEV)
			r = 0;
		peer->link = link.index;
		last = peer;
	}
	return r;
}

/*
 * A peer to which everything goes has no address by its allowed IPs. The tunnel's configuration tells it if
 * it is point-to-point: the other side of one of its addresses. What cannot be asked stays unknown.
 */
static void look_up_own(struct wg_reader *reader, struct wg_peers *peers)
{
	struct rtnl_addresses addresses = {};
	struct prefix_list others = {};
	struct rtnl_link link;
	int r = 0;

	if (!wg_peers_lack_own(peers))
		return;
	if (!reader->rtnl)
		r = rtnl_new(&reader->rtnl);
	if (r == 0)
		r = rtnl_get_link(reader->rtnl, reader->interface, 0, &link);
	if (r == 0)
		r = rtnl_get_addresses(reader->rtnl, link.index, &addresses);
	for (size_t i = 0; r == 0 && i < addresses.n; i++) {
		const struct rtnl_address *address = &addresses.items[i];

		if (prefix_is_single(&address->network) &&
		    address_compare(&address->network.address, &address->local) != 0)
			r = prefix_list_add(&others, &address->network);
	}
	if (r == 0)
		wg_peers_set_own(peers, &others);
	prefix_list_deinit(&others);
	rtnl_addresses_deinit(&addresses);
}

int wg_reader_read(struct wg_reader *reader, struct wg_peers *ret_peers)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r = 0;

	for (unsigned int i = 0; i < READ_TRIES; ++i) {
		wg_peers_deinit(&peers);
		r = reader->socket_path ? read_userspace(reader, &peers) : read_kernel(reader, &peers);
		if (r < 0)
			return r == -EOPNOTSUPP ? -ENODEV : r;
		if (!peers.interrupted)
			break;
	}
	r = look_up_zones(reader, &peers);
	if (r < 0)
		return r;
	wg_peers_sort(&peers);
	look_up_own(reader, &peers);
	*ret_peers = peers;
	peers = (struct wg_peers){};
	return 0;
}

static int new_reader(const char *folder, const char *broker, const char *interface,
		      struct wg_reader **ret_reader)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->broker_fd = -1;
	if (!wg_broker_is_interface(interface))
		return -EINVAL;
	if (broker && !(reader->broker_path = strdup(broker)))
		return -ENOMEM;
	memcpy(reader->interface, interface, strlen(interface) + 1);
	if (folder && asprintf(&reader->socket_path, "%s/%s.sock", folder, interface) < 0) {
		reader->socket_path = NULL;
		return -ENOMEM;
	}
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

static int try_reader(struct wg_reader *reader)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};

	return wg_reader_read(reader, &peers);
}

int wg_reader_new_userspace(const char *folder, const char *broker, const char *interface,
			    struct wg_reader **ret_reader)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	int r = new_reader(folder, broker, interface, &reader);

	if (r == 0)
		r = try_reader(reader);
	if (r < 0)
		return r;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

static int new_kernel(const char *interface, struct wg_reader **ret_reader)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	int r = new_reader(NULL, NULL, interface, &reader);

	if (r == 0)
		r = netlink_new(NETLINK_GENERIC, &reader->netlink);
	if (r < 0)
		return r;
	request = put_request(buffer, GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	r = netlink_request(reader->netlink, request, WG_READER_TIMEOUT_MS, take_family, &reader->family,
			    NULL);
	if (r == 0)
		r = try_reader(reader);
	if (r < 0)
		return r;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

/* The interface's kind decides who is asked: a socket of its name is another one's if it is the kernel's.
 * (And a request for an unknown family makes the kernel search for a module, each time.) */
int wg_reader_new(const char *interface, const char *broker, struct wg_reader **ret_reader)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link;
	int r = wg_broker_is_interface(interface) ? rtnl_new(&rtnl) : -EINVAL;

	if (r == 0)
		r = rtnl_get_link(rtnl, interface, 0, &link);
	if (r < 0)
		return r;
	if (strcmp(link.kind, WG_GENL_NAME) == 0)
		return new_kernel(interface, ret_reader);
	/* The socket has the interface's first name; the given one may be an alternative. */
	return wg_reader_new_userspace(WG_SOCKET_FOLDER, broker, link.name, ret_reader);
}
