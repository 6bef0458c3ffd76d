/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tun source `packet`: counts in user space what eBPF counts in the kernel, where eBPF is not permitted.
 * One packet socket for each direction, so that each has its own number of dropped packets, and one thread
 * that reads both and counts. An extraction waits until the thread has read what was captured before. The
 * sockets are as old as the device; enabled, they capture.
 */

#include "common/cleanup.h"
#include "common/details.h"
#include "common/thread.h"
#include "common/time_text.h"
#include "daemon/device/bypass.h"
#include "daemon/device/control_details.h"
#include "daemon/device/control_log.h"
#include "daemon/device/device.h"
#include "daemon/device/flow_counter.h"
#include "daemon/device/interface.h"
#include "daemon/device/packet_socket.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#define SOCKETS	       2
#define READ_APART_MAX (60 * NSEC_PER_SEC) /* by which one direction may be read later than the other */
#define WAIT_MAX       NSEC_PER_SEC /* for the thread, until an extraction does without the last packets */

/* What was counted. */
struct packet_window {
	struct flow_counter table;
	struct control_log controls; /* of the flows in the table */
	uint64_t lost_details;
	struct counts totals;
	struct counts overflow;
	struct counts inexact;
	bool has_begun;
	uint32_t begin; /* before its first packet, µs; a window of an hour fits behind it */
};

struct packet_source {
	struct device device;
	char *name;
	struct interface interface;
	struct bypass bypass;
	bool details; /* wanted */

	pthread_t thread;
	int stop_fd; /* tells the thread to end; -1: there is none */

	pthread_mutex_t lock;		       /* for the rest */
	pthread_cond_t read;		       /* the thread has read a block */
	struct packet_socket sockets[SOCKETS]; /* while it runs, the thread uses fd and ring too */
	struct packet_window windows[2];
	unsigned int current; /* the window that runs; the other one is empty, */
	int64_t cutoff;	      /* but for what was captured after this time, while an extraction waits */
};

#define PACKET(pointer) ((struct packet_source *)(pointer))

/* The directions are read apart, so the first packet that is read need not be the first. */
static void packet_note_first(struct packet_window *window, struct details *details,
			      const struct decode_input *input)
{
	uint32_t time = (uint32_t)(input->time / NSEC_PER_USEC);

	if (!window->has_begun)
		window->begin = time - (uint32_t)(READ_APART_MAX / NSEC_PER_USEC);
	window->has_begun = true;
	details_note_packet(details, window->begin, time, input->received);
}

static void packet_note_details(struct packet_window *window, struct flow *flow,
				const struct decode_input *input, const struct decoded *decoded)
{
	struct control_event event = {
		.time = input->time,
		.flow = (uint32_t)(flow - window->table.flows.items),
		.seq = decoded->tcp_seq,
		.flags = decoded->tcp_flags,
		.received = input->received,
	};

	*(input->received ? &flow->details.rx_flags : &flow->details.tx_flags) |= decoded->tcp_flags;
	packet_note_first(window, &flow->details, input);
	if (decoded->tcp_flags & (CONTROL_SYN | CONTROL_FIN | CONTROL_RST) &&
	    control_log_add(&window->controls, &event, &window->table.flows) < 0)
		window->lost_details++;
}

static void packet_take(const struct decode_input *input, void *userdata)
{
	struct packet_source *source = userdata;
	/* One direction is read further than the other: both end at the same time all the same. */
	struct packet_window *window = &source->windows[source->current ^ (input->time > source->cutoff)];
	struct decoded decoded;
	struct counts counts = {};
	struct flow *flow;

	decode_packet(input, &decoded);
	if (input->received) {
		counts.rx_packets = decoded.packets;
		counts.rx_bytes = decoded.bytes;
	} else {
		counts.tx_packets = decoded.packets;
		counts.tx_bytes = decoded.bytes;
	}
	counts_add(&window->totals, &counts);
	if (decoded.inexact)
		counts_add(&window->inexact, &counts);
	flow = flow_counter_add(&window->table, &decoded.connection, &counts);
	if (!flow)
		counts_add(&window->overflow, &counts);
	else if (source->details)
		packet_note_details(window, flow, input, &decoded);
}

static void *packet_run(void *userdata)
{
	struct packet_source *source = userdata;
	struct pollfd polls[SOCKETS + 1];

	for (size_t i = 0; i < SOCKETS; i++)
		polls[i] = (struct pollfd){.fd = source->sockets[i].fd, .events = POLLIN};
	polls[SOCKETS] = (struct pollfd){.fd = source->stop_fd, .events = POLLIN};
	for (;;) {
		/* Out of memory, say: what is in the rings is read all the same. */
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0) {
			for (size_t i = 0; i <= SOCKETS; i++)
				polls[i].revents = 0;
			if (errno != EINTR)
				nanosleep(&(struct timespec){.tv_nsec = 10 * NSEC_PER_MSEC}, NULL);
		}
		for (size_t i = 0; i < SOCKETS; i++) {
			bool more = true;
			int error;
			socklen_t length = sizeof(error);

			/* The kernel reports once that the interface is down or gone; it may come up again.
			 */
			if (polls[i].revents & POLLERR)
				getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
			/* One block at a time under the lock, so that an extraction need not wait long. */
			while (more) {
				pthread_mutex_lock(&source->lock);
				more = packet_socket_read(&source->sockets[i], packet_take, source);
				pthread_cond_broadcast(&source->read);
				pthread_mutex_unlock(&source->lock);
			}
		}
		if (polls[SOCKETS].revents)
			return NULL;
	}
}

static void packet_close_sockets(struct packet_source *source)
{
	for (size_t i = 0; i < SOCKETS; i++)
		packet_socket_close(&source->sockets[i]);
}

static int packet_open_sockets(struct packet_source *source)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		int r = packet_socket_open(&source->sockets[i], i == 0);

		if (r < 0) {
			packet_close_sockets(source);
			return r;
		}
	}
	return 0;
}

static int packet_find_interface(struct device *device)
{
	struct packet_source *source = PACKET(device);
	int r = device->enabled ? -EBUSY : interface_bind(&source->interface, source->name);

	for (size_t i = 0; i < SOCKETS && r == 0; i++)
		r = packet_socket_bind(&source->sockets[i], source->interface.index,
				       source->interface.l2_length);
	return r;
}

static void packet_end_thread(struct packet_source *source)
{
	uint64_t one = 1;

	if (source->stop_fd < 0)
		return;
	if (write(source->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(source->thread, NULL);
	source->stop_fd = safe_close(source->stop_fd);
}

/*
 * Adds what the kernel dropped to the totals and to the overflow, in packets, and waits until all that was
 * captured up to now is counted. Under the lock.
 */
static int packet_catch_up(struct packet_source *source)
{
	struct packet_window *window = &source->windows[source->current];
	int64_t limit = thread_now() + WAIT_MAX;

	for (size_t i = 0; i < SOCKETS; i++) {
		struct packet_socket *packet = &source->sockets[i];
		uint64_t before = packet->dropped;
		struct counts dropped = {};
		int r = packet_socket_update(packet);

		if (r < 0)
			return r;
		*(packet->received ? &dropped.rx_packets : &dropped.tx_packets) = packet->dropped - before;
		counts_add(&window->totals, &dropped);
		counts_add(&window->overflow, &dropped);
	}
	for (size_t i = 0; i < SOCKETS; i++) {
		struct packet_socket *packet = &source->sockets[i];

		while (packet->read < packet->captured)
			if (!thread_wait_until(&source->read, &source->lock, limit))
				return -ETIMEDOUT;
		/* Each of these stands for several packets, and nobody knows for how many. */
		*(packet->received ? &window->inexact.rx_packets : &window->inexact.tx_packets) +=
			packet->refused;
		packet->refused = 0;
	}
	return 0;
}

static int packet_start_thread(struct packet_source *source)
{
	int r;

	if (source->stop_fd >= 0)
		return 0;
	source->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = source->stop_fd < 0 ? -errno : thread_start(&source->thread, "packet", 0, packet_run, source);
	if (r < 0)
		source->stop_fd = safe_close(source->stop_fd);
	return r;
}

static int packet_set_statistics_enabled(struct device *device, bool enabled)
{
	struct packet_source *source = PACKET(device);
	bool asked = enabled && interface_refresh(&source->interface) == 0;
	uint64_t sent = interface_sent(&source->interface);
	int r = 0;

	if (device->enabled == enabled)
		return 0;
	if (enabled)
		r = packet_start_thread(source);
	for (size_t i = 0; i < SOCKETS && r == 0 && enabled; i++)
		r = packet_socket_start(&source->sockets[i]);
	/* What is in the rings is counted until the next extraction. */
	for (size_t i = 0; i < SOCKETS && (r < 0 || !enabled); i++)
		packet_socket_stop(&source->sockets[i]);
	if (r < 0)
		return r;
	device->enabled = enabled;
	source->bypass = (struct bypass){};
	if (asked && interface_refresh(&source->interface) == 0)
		bypass_begin(&source->bypass, &source->interface, sent);
	return 0;
}

static void packet_before_flip(struct device *device)
{
	if (device->enabled)
		bypass_note(&PACKET(device)->bypass, &PACKET(device)->interface);
}

/* 0; -ENODEV: the interface is gone, or the sockets are no longer bound to it; or another -errno: could not
 * ask. */
static int packet_check(struct packet_source *source)
{
	int error = interface_refresh(&source->interface);

	for (size_t i = 0; i < SOCKETS && error != -ENODEV; i++) {
		int r = packet_socket_check(&source->sockets[i], source->interface.index);

		if (r == -ENODEV || error == 0)
			error = r;
	}
	return error;
}

static int packet_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct packet_source *source = PACKET(device);
	struct extraction extraction = {.has_totals = true, .packets_only = true};
	struct packet_window *window;
	int r = 0;

	pthread_mutex_lock(&source->lock);
	/* Of a disabled one, all: there is no next window. */
	source->cutoff = device->enabled ? time_now_wall() : INT64_MAX;
	if (source->stop_fd >= 0)
		r = packet_catch_up(source);
	window = &source->windows[source->current];
	control_log_apply(&window->controls, &window->table.flows);
	flow_counter_take(&window->table, &extraction.flows);
	extraction.totals = window->totals;
	extraction.overflow = window->overflow;
	extraction.inexact = window->inexact;
	extraction.lost_details = window->lost_details;
	window->totals = window->overflow = window->inexact = (struct counts){};
	window->lost_details = 0;
	window->has_begun = false;
	source->current ^= 1;
	source->cutoff = INT64_MAX;
	pthread_mutex_unlock(&source->lock);
	if (r < 0) {
		/* Late packets are counted in the next window. */
		extraction.errors++;
		*ret_extraction = extraction;
		return r;
	}
	extraction.bypassed = bypass_count(&source->bypass, extraction.totals.tx_packets);
	if (device->enabled)
		r = packet_check(source);
	/* That could not be asked says nothing about the counts. */
	extraction.errors += r < 0 && r != -ENODEV;
	*ret_extraction = extraction;
	return r == -ENODEV ? r : 0;
}

static void packet_get_info(struct device *device, struct device_info *ret_info)
{
	struct packet_source *source = PACKET(device);
	struct device_info info = {
		.source = SOURCE_PACKET,
		.attachment = "AF_PACKET ring",
		.interface = source->name,
		.ifindex = source->interface.index,
		.memory = SOCKETS * (uint64_t)PACKET_SOCKET_RING,
		.device_drops_rx = source->interface.rx_dropped,
		.device_drops_tx = source->interface.tx_dropped,
	};

	*ret_info = info;
}

static void packet_free(struct device *device)
{
	struct packet_source *source = PACKET(device);

	packet_end_thread(source);
	packet_close_sockets(source);
	for (size_t i = 0; i < ARRAY_SIZE(source->windows); i++) {
		flow_counter_deinit(&source->windows[i].table);
		control_log_deinit(&source->windows[i].controls);
	}
	pthread_cond_destroy(&source->read);
	pthread_mutex_destroy(&source->lock);
	interface_close(&source->interface);
	free(source->name);
	free(source);
}
DEFINE_CLEANUP(struct device *, packet_free);

static const struct device_ops packet_ops;

/* The sockets themselves change hands, and go on capturing. What the old thread has counted stays there. */
static int packet_take_over(struct device *device, struct device *from)
{
	struct packet_source *source = PACKET(device), *other = PACKET(from);
	uint64_t sent;
	bool asked;
	int r;

	if (from->ops != &packet_ops || !from->enabled || device->enabled ||
	    source->interface.index != other->interface.index)
		return -EINVAL;
	asked = interface_refresh(&source->interface) == 0;
	sent = interface_sent(&source->interface);
	packet_end_thread(other);
	packet_close_sockets(source);
	memcpy(source->sockets, other->sockets, sizeof(source->sockets));
	r = packet_start_thread(source);
	if (r < 0) {
		for (size_t i = 0; i < SOCKETS; i++)
			source->sockets[i] = (struct packet_socket){.fd = -1};
		packet_start_thread(other);
		return r;
	}
	for (size_t i = 0; i < SOCKETS; i++)
		other->sockets[i] = (struct packet_socket){.fd = -1};
	source->bypass = (struct bypass){};
	if (asked && interface_refresh(&source->interface) == 0)
		bypass_begin(&source->bypass, &source->interface, sent);
	device->enabled = true;
	from->enabled = false;
	return 0;
}

static const struct device_ops packet_ops = {
	.name = "packet",
	.source = SOURCE_PACKET,
	.free = packet_free,
	.set_statistics_enabled = packet_set_statistics_enabled,
	.extract_statistics = packet_extract_statistics,
	.before_flip = packet_before_flip,
	.find_interface = packet_find_interface,
	.get_info = packet_get_info,
	.take_over = packet_take_over,
};

static int packet_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(packet_freep) struct device *device = NULL;
	struct packet_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	device = &source->device;
	device->ops = &packet_ops;
	device->layer = options->layer;
	source->details = options->details;
	source->stop_fd = -1;
	for (size_t i = 0; i < SOCKETS; i++)
		source->sockets[i].fd = -1;
	pthread_mutex_init(&source->lock, NULL);
	r = thread_condition_init(&source->read);
	if (r < 0)
		return r;
	source->name = strdup(options->interface);
	if (!source->name)
		return -ENOMEM;
	source->cutoff = INT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(source->windows) && r == 0; i++)
		r = flow_counter_init(&source->windows[i].table, options->max_flows);
	if (r == 0)
		r = interface_open(&source->interface);
	if (r == 0)
		r = packet_open_sockets(source);
	if (r == 0 && !options->ahead)
		r = packet_find_interface(device);
	if (r < 0)
		return r;
	*ret_device = TAKE_PTR(device);
	return 0;
}

static const char *packet_explain(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return "packet sockets need CAP_NET_RAW";
	case -ENOMEM:
		return "not enough memory for the rings";
	case -ENODEV:
		return "no such interface";
	case -EOPNOTSUPP:
		return "the interface's link layer is neither raw IP nor Ethernet";
	}
	return "the kernel rejected the packet sockets";
}

int device_packet_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r = options->interface ? packet_make(options, ret_device) : -EINVAL;

	return device_explain(r, packet_explain(r), ret_reason);
}
