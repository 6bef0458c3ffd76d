/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libmnl builds and walks messages. Its own callback runner lacks what is here: a deadline, a check of the
 * sender, and a socket that can be used again after an abandoned dump.
 */

#include "daemon/net/netlink.h"

#include "common/time_text.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel builds no datagram of a dump larger than 32 KiB (af_netlink.c, NLMSG_GOODSIZE). */
#define RECEIVE_SIZE (64 * 1024)
/* A dump of more datagrams is taken to be endless. */
#define DATAGRAMS_MAX (1024 * 1024)
/* A kernel that keeps answering is busy, not stuck: a whole dump may take this many times as long as each
 * datagram. */
#define DUMP_PATIENCE 5

struct netlink {
	int bus;
	struct mnl_socket *socket;
	uint32_t sequence;
	bool strict;
	uint8_t *buffer;
};

void netlink_free(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink->buffer);
	free(netlink);
}

static int open_socket(struct netlink *netlink)
{
	struct mnl_socket *socket = mnl_socket_open2(netlink->bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int on = 1;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = errno;

		mnl_socket_close(socket);
		return -error;
	}
	/* Without CAP_ACK an acknowledgement repeats the whole request. Older kernels lack both options. */
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	netlink->strict = mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) == 0;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	netlink->socket = socket;
	return 0;
}

int netlink_new(int bus, struct netlink **ret_netlink)
{
	_cleanup_(netlink_freep) struct netlink *netlink = calloc(1, sizeof(*netlink));
	int r;

	if (!netlink)
		return -ENOMEM;
	netlink->bus = bus;
	netlink->buffer = malloc(RECEIVE_SIZE);
	if (!netlink->buffer)
		return -ENOMEM;
	r = open_socket(netlink);
	if (r < 0)
		return r;
	*ret_netlink = TAKE_PTR(netlink);
	return 0;
}

bool netlink_is_strict(const struct netlink *netlink)
{
	return netlink->strict;
}

/* NLMSG_DONE and NLMSG_ERROR both begin with 0 or a negative errno; NLMSG_DONE may be empty. */
static int read_end(struct netlink_answer *answer, const struct nlmsghdr *message)
{
	int error = 0;

	answer->done = true;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(error))
		return message->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	if (error > 0 || error < -4095)
		return -EBADMSG;
	return error;
}

/* mnl_nlmsg_ok() reads the length as signed: 2^31 or more would pass, and 2^32-1 would loop forever. */
static bool message_fits(const struct nlmsghdr *nlh, int left)
{
	return left >= (int)sizeof(*nlh) && nlh->nlmsg_len >= sizeof(*nlh) &&
	       nlh->nlmsg_len <= (uint32_t)left;
}

int netlink_answer_read(struct netlink_answer *answer, const void *data, size_t n, netlink_message_fn message,
			void *userdata)
{
	const struct nlmsghdr *nlh = data;
	int left = n > RECEIVE_SIZE ? RECEIVE_SIZE : (int)n;

	for (; message_fits(nlh, left) && !answer->done; nlh = mnl_nlmsg_next(nlh, &left)) {
		int r = 0;

		if (nlh->nlmsg_seq != answer->sequence || nlh->nlmsg_pid != answer->port)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			answer->interrupted = true;
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR)
			return read_end(answer, nlh);
		if (nlh->nlmsg_type < NLMSG_MIN_TYPE)
			continue;
		r = message(nlh, userdata);
		if (r < 0)
			return r;
		if (!answer->dump)
			answer->done = true;
	}
	/* Bytes that are not a message; up to three of them are padding. */
	return left > 3 && !answer->done ? -EBADMSG : 0;
}

/* One datagram from the kernel: its length, or -errno. Other processes can send to our port too; those
 * datagrams are ignored. */
static ssize_t receive(struct netlink *netlink, int64_t deadline)
{
	for (;;) {
		struct sockaddr_nl from = {};
		struct iovec iov = {.iov_base = netlink->buffer, .iov_len = RECEIVE_SIZE};
		struct msghdr msg = {
			.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
		struct pollfd poller = {.fd = mnl_socket_get_fd(netlink->socket), .events = POLLIN};
		int64_t left = (deadline - time_now_boot()) / NSEC_PER_MSEC;
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = recvmsg(poller.fd, &msg, 0);
		if (n >= 0 && from.nl_pid != 0)
			continue;
		if (n >= 0 && !(msg.msg_flags & MSG_TRUNC))
			return n;
		if (n >= 0) {
			explicit_bzero(netlink->buffer, RECEIVE_SIZE);
			return -EMSGSIZE;
		}
		if (errno == EAGAIN) {
			if (poll(&poller, 1, (int)left) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int netlink_request(struct netlink *netlink, struct nlmsghdr *request, int timeout_ms,
		    netlink_message_fn message, void *userdata, bool *ret_interrupted)
{
	struct netlink_answer answer = {
		.port = mnl_socket_get_portid(netlink->socket),
		.dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP,
	};
	int64_t timeout = timeout_ms * NSEC_PER_MSEC, end;
	int r = 0;

	/* Unsolicited messages have sequence 0. */
	if (++netlink->sequence == 0)
		++netlink->sequence;
	answer.sequence = netlink->sequence;
	request->nlmsg_seq = answer.sequence;
	if (mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0)
		return -errno;
	end = time_now_boot() + DUMP_PATIENCE * timeout;
	for (unsigned int i = 0; r == 0 && !answer.done; ++i) {
		ssize_t n = receive(netlink, MIN(time_now_boot() + timeout, end));

		if (n < 0) {
			r = (int)n;
			break;
		}
		r = netlink_answer_read(&answer, netlink->buffer, (size_t)n, message, userdata);
		explicit_bzero(netlink->buffer, (size_t)n);
		if (r == 0 && i == DATAGRAMS_MAX)
			r = -EBADMSG;
	}
	/* The kernel continues an abandoned dump, and refuses the next one on this socket (-EBUSY) until it
	 * has been read to its end. */
	if (r < 0 && answer.dump && !answer.done)
		open_socket(netlink);
	if (r == 0 && ret_interrupted)
		*ret_interrupted = answer.interrupted;
	return r;
}
