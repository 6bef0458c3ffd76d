/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tun source `packet`: what eBPF counts in the kernel, counted in user space, where eBPF is not
 * permitted. One packet socket for each direction, so that the kernel's number of dropped packets belongs to
 * one, and one thread that reads both and counts. An extraction waits for the thread to have read what was
 * captured before it.
 */

#include "common/cleanup.h"
#include "daemon/device/device.h"
#include "daemon/device/flow_counter.h"
#include "daemon/device/interface.h"
#include "daemon/device/packet_socket.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#define SOCKETS	     2
#define WAIT_SECONDS 1 /* for the thread, before an extraction goes without the last packets */

struct packet_source {
	struct device device;
	char *name;
	struct interface interface;

	pthread_t thread;
	int stop_fd; /* tells the thread to end */

	pthread_mutex_t lock;		       /* for all below */
	pthread_cond_t read;		       /* the thread has read a block */
	struct packet_socket sockets[SOCKETS]; /* fd and ring are the thread's too, while it runs */
	struct flow_counter table;
	struct counts totals;
	struct counts overflow;
	struct counts inexact;
};

#define PACKET(pointer) ((struct packet_source *)(pointer))

static void packet_take(const struct decode_input *input, void *userdata)
{
	struct packet_source *source = userdata;
	struct decoded decoded;
	struct counts counts = {};

	decode_packet(input, &decoded);
	if (input->received) {
		counts.rx_packets = decoded.packets;
		counts.rx_bytes = decoded.bytes;
	} else {
		counts.tx_packets = decoded.packets;
		counts.tx_bytes = decoded.bytes;
	}
	counts_add(&source->totals, &counts);
	if (decoded.inexact)
		counts_add(&source->inexact, &counts);
	if (!flow_counter_add(&source->table, &decoded.connection, &counts))
		counts_add(&source->overflow, &counts);
}

/* One block at a time under the lock, so that an extraction need not wait long for it. */
static void packet_read_socket(struct packet_source *source, struct packet_socket *packet)
{
	bool more = true;

	while (more) {
		pthread_mutex_lock(&source->lock);
		more = packet_socket_read(packet, packet_take, source);
		pthread_cond_broadcast(&source->read);
		pthread_mutex_unlock(&source->lock);
	}
}

static void *packet_run(void *userdata)
{
	struct packet_source *source = userdata;
	struct pollfd polls[SOCKETS + 1];

	for (size_t i = 0; i < SOCKETS; i++)
		polls[i] = (struct pollfd){.fd = source->sockets[i].fd, .events = POLLIN};
	polls[SOCKETS] = (struct pollfd){.fd = source->stop_fd, .events = POLLIN};
	for (;;) {
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR)
			return NULL;
		for (size_t i = 0; i < SOCKETS; i++) {
			int error;
			socklen_t length = sizeof(error);

			/* An interface that goes down or away is told once; it may come up again. */
			if (polls[i].revents & POLLERR)
				getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
			packet_read_socket(source, &source->sockets[i]);
		}
		if (polls[SOCKETS].revents)
			return NULL;
	}
}

/* With no signal of the daemon's. */
static int packet_start_thread(struct packet_source *source)
{
	sigset_t all, before;
	int error;

	source->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (source->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&source->thread, NULL, packet_run, source);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error < 0)
		source->stop_fd = safe_close(source->stop_fd);
	return error;
}

static void packet_close_sockets(struct packet_source *source)
{
	for (size_t i = 0; i < SOCKETS; i++)
		packet_socket_close(&source->sockets[i]);
}

static int packet_open_sockets(struct packet_source *source)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		int error = packet_socket_open(&source->sockets[i], source->interface.index,
					       source->interface.l2_length, i == 0);

		if (error < 0) {
			packet_close_sockets(source);
			return error;
		}
	}
	return 0;
}

static int packet_start(struct packet_source *source)
{
	int error = packet_open_sockets(source);

	if (error < 0)
		return error;
	error = packet_start_thread(source);
	if (error < 0)
		packet_close_sockets(source);
	return error;
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

/* Adds what the kernel dropped to the totals and to the overflow, in packets. Under the lock. */
static int packet_update(struct packet_source *source, struct packet_socket *packet)
{
	uint64_t before = packet->dropped;
	struct counts counts = {};
	int error = packet_socket_update(packet);

	if (error < 0)
		return error;
	if (packet->received)
		counts.rx_packets = packet->dropped - before;
	else
		counts.tx_packets = packet->dropped - before;
	counts_add(&source->totals, &counts);
	counts_add(&source->overflow, &counts);
	return 0;
}

/* Waits until all that was captured up to now is counted. Under the lock. */
static int packet_catch_up(struct packet_source *source)
{
	struct timespec limit;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_sec += WAIT_SECONDS;
	for (size_t i = 0; i < SOCKETS && error == 0; i++)
		error = packet_update(source, &source->sockets[i]);
	for (size_t i = 0; i < SOCKETS && error == 0; i++)
		while (source->sockets[i].read < source->sockets[i].captured && error == 0)
			error = -pthread_cond_timedwait(&source->read, &source->lock, &limit);
	return error;
}

static int packet_set_statistics_enabled(struct device *device, bool enabled)
{
	struct packet_source *source = PACKET(device);
	int error = 0;

	if (device->enabled == enabled)
		return 0;
	if (enabled) {
		error = packet_start(source);
		if (error < 0)
			return error;
	} else {
		for (size_t i = 0; i < SOCKETS; i++)
			packet_socket_stop(&source->sockets[i]);
		pthread_mutex_lock(&source->lock);
		packet_catch_up(source);
		pthread_mutex_unlock(&source->lock);
		packet_end_thread(source);
		packet_close_sockets(source);
	}
	device->enabled = enabled;
	return 0;
}

static bool packet_is_in_place(const struct packet_source *source)
{
	bool in_place = true;

	for (size_t i = 0; i < SOCKETS; i++)
		in_place = in_place && packet_socket_is_bound(&source->sockets[i], source->interface.index);
	return in_place;
}

static int packet_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct packet_source *source = PACKET(device);
	struct extraction extraction = {.has_totals = true, .packets_only = true};
	int error = 0;

	pthread_mutex_lock(&source->lock);
	if (device->enabled)
		error = packet_catch_up(source);
	flow_counter_take(&source->table, &extraction.flows);
	extraction.totals = source->totals;
	extraction.overflow = source->overflow;
	extraction.inexact = source->inexact;
	source->totals = source->overflow = source->inexact = (struct counts){};
	pthread_mutex_unlock(&source->lock);
	/* Packets that are late are counted in the next window. */
	if (error < 0)
		extraction.errors++;
	*ret_extraction = extraction;
	if (error < 0)
		return error;
	return device->enabled && !packet_is_in_place(source) ? -ENODEV : 0;
}

static void packet_get_info(struct device *device, struct device_info *ret_info)
{
	struct packet_source *source = PACKET(device);
	struct device_info info = {
		.source = SOURCE_PACKET,
		.attachment = "AF_PACKET ring",
		.interface = source->name,
		.ifindex = source->interface.index,
		.memory = device->enabled ? SOCKETS * (uint64_t)PACKET_SOCKET_RING : 0,
	};

	interface_get_drops(source->interface.index, &info.device_drops_rx, &info.device_drops_tx);
	*ret_info = info;
}

static void packet_free(struct device *device)
{
	struct packet_source *source = PACKET(device);

	packet_end_thread(source);
	packet_close_sockets(source);
	flow_counter_deinit(&source->table);
	pthread_cond_destroy(&source->read);
	pthread_mutex_destroy(&source->lock);
	free(source->name);
	free(source);
}
DEFINE_CLEANUP(struct device *, packet_free);

static const struct device_ops packet_ops = {
	.name = "packet",
	.source = SOURCE_PACKET,
	.free = packet_free,
	.set_statistics_enabled = packet_set_statistics_enabled,
	.extract_statistics = packet_extract_statistics,
	.get_info = packet_get_info,
};

static int packet_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(packet_freep) struct device *device = NULL;
	struct packet_source *source = calloc(1, sizeof(*source));
	pthread_condattr_t monotonic;
	int error;

	if (!source)
		return -ENOMEM;
	device = &source->device;
	device->ops = &packet_ops;
	device->layer = options->layer;
	source->stop_fd = -1;
	for (size_t i = 0; i < SOCKETS; i++)
		source->sockets[i].fd = -1;
	pthread_mutex_init(&source->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&source->read, &monotonic);
	pthread_condattr_destroy(&monotonic);
	source->name = strdup(options->interface);
	if (!source->name)
		return -ENOMEM;
	error = flow_counter_init(&source->table, options->max_flows);
	if (error == 0)
		error = interface_find(options->interface, &source->interface);
	/* Whether it is permitted is found out now, not when counting is to start. */
	if (error == 0)
		error = packet_open_sockets(source);
	if (error < 0)
		return error;
	packet_close_sockets(source);
	*ret_device = TAKE_PTR(device);
	return 0;
}

static const char *packet_explain(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return "no permission for packet sockets (CAP_NET_RAW is needed)";
	case -ENOMEM:
		return "not enough memory for the rings";
	case -ENODEV:
		return "no such interface";
	case -EOPNOTSUPP:
		return "this kind of interface has a link-layer header that is neither none nor Ethernet";
	}
	return "the kernel refuses the packet sockets";
}

int device_packet_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int error = options->interface ? packet_make(options, ret_device) : -EINVAL;

	if (error < 0 && ret_reason &&
	    asprintf(ret_reason, "%s: %s", packet_explain(error), strerror(-error)) < 0)
		*ret_reason = NULL;
	return error;
}
