/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user-space side of the programs on the underlay: the maps of the endpoints, and whose each entry is.
 */

#include "daemon/device/underlay/underlay.h"

#include "common/time_text.h"
#include "daemon/bpf/physical.skel.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/epoch.h"
#include "daemon/device/tun_drain.h"
#include "daemon/device/underlay/attachments.h"
#include "daemon/device/underlay/owners.h"
#include "daemon/net/changes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Between two extractions that changes of the network ask for. */
#define CHANGES_PAUSE (250 * NSEC_PER_MSEC)

struct endpoint_list {
	struct endpoint *items; /* sorted, each once */
	size_t n;
};

struct underlay {
	struct epoch *epoch; /* borrowed */
	struct physical *programs;
	struct attachments *paths;
	struct endpoint_list known[FLOW_SIDES]; /* what the maps of either side hold */
	/* Of entries that have been handed over while the side's totals, which hold them too, have not. */
	struct counts handed_over[FLOW_SIDES];
	uint32_t max_endpoints;
	uint16_t port, port_before;
	bool enabled;
	int follow_error; /* of the last look at peers and paths */
	uint64_t memory;
	int changes_fd; /* of the kernel's network */
	int pause_fd;	/* a timer */
	int wait_fd;	/* the one of both that matters now */
};

/* --- the descriptor that asks for an extraction when the network changes --- */

static int watch(struct underlay *underlay, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(underlay->wait_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int make_changes(struct underlay *underlay)
{
	int r = net_changes_open(&underlay->changes_fd);

	if (r < 0)
		return r;
	underlay->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	underlay->pause_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (underlay->wait_fd < 0 || underlay->pause_fd < 0)
		return -errno;
	r = watch(underlay, EPOLL_CTL_ADD, underlay->changes_fd, EPOLLIN);
	return r < 0 ? r : watch(underlay, EPOLL_CTL_ADD, underlay->pause_fd, EPOLLIN);
}

/* A routing daemon may change routes all the time: after a change nobody is woken for a while, and then once
 * more for what came meanwhile. */
static bool take_changes(struct underlay *underlay)
{
	const struct itimerspec pause = {.it_value.tv_nsec = CHANGES_PAUSE};
	bool changed = net_changes_read(underlay->changes_fd);
	uint64_t expired;

	if (read(underlay->pause_fd, &expired, sizeof(expired)) > 0)
		watch(underlay, EPOLL_CTL_MOD, underlay->changes_fd, EPOLLIN);
	if (changed) {
		watch(underlay, EPOLL_CTL_MOD, underlay->changes_fd, 0);
		timerfd_settime(underlay->pause_fd, 0, &pause, NULL);
	}
	return changed;
}

int underlay_changes_fd(const struct underlay *underlay)
{
	return underlay->wait_fd;
}

/* --- made and unmade --- */

void underlay_free(struct underlay *underlay)
{
	if (!underlay)
		return;
	attachments_free(underlay->paths);
	physical__destroy(underlay->programs);
	for (size_t i = 0; i < FLOW_SIDES; i++)
		free(underlay->known[i].items);
	safe_close(underlay->changes_fd);
	safe_close(underlay->pause_fd);
	safe_close(underlay->wait_fd);
	free(underlay);
}

static int load(struct underlay *underlay)
{
	struct physical *programs = physical__open();
	int r;

	if (!programs)
		return -errno;
	underlay->programs = programs;
	r = bpf_map__set_max_entries(programs->maps.known_0, underlay->max_endpoints);
	if (r == 0)
		r = bpf_map__set_max_entries(programs->maps.known_1, underlay->max_endpoints);
	if (r == 0)
		r = bpf_map__reuse_fd(programs->maps.epoch, epoch_map_fd(underlay->epoch));
	if (r == 0)
		r = physical__load(programs);
	return r;
}

static uint64_t count_memory(const struct underlay *underlay)
{
	const struct bpf_map *map;
	uint64_t bytes = 0;

	bpf_object__for_each_map(map, underlay->programs->obj)
	{
		bytes += map_memory(bpf_map__fd(map));
	}
	return bytes;
}

static struct underlay_programs programs_of(const struct underlay *underlay)
{
	const struct physical *programs = underlay->programs;

	return (struct underlay_programs){
		.ingress = {bpf_program__fd(programs->progs.count_ingress_raw),
			    bpf_program__fd(programs->progs.count_ingress_ethernet)},
		.egress = {bpf_program__fd(programs->progs.count_egress_raw),
			   bpf_program__fd(programs->progs.count_egress_ethernet)},
		.devices_map = bpf_map__fd(programs->maps.devices),
		.locals_map = bpf_map__fd(programs->maps.locals),
	};
}

int underlay_new(const struct underlay_options *options, struct underlay **ret_underlay)
{
	_cleanup_(underlay_freep) struct underlay *underlay = calloc(1, sizeof(*underlay));
	struct underlay_programs programs;
	int r;

	if (!underlay)
		return -ENOMEM;
	underlay->changes_fd = underlay->pause_fd = underlay->wait_fd = -1;
	underlay->epoch = options->epoch;
	underlay->max_endpoints = MAX(options->max_endpoints, 16U);
	r = load(underlay);
	if (r == 0)
		r = make_changes(underlay);
	if (r < 0)
		return r;
	programs = programs_of(underlay);
	underlay->memory = count_memory(underlay);
	r = attachments_new(options, &programs, &underlay->paths);
	if (r < 0)
		return r;
	*ret_underlay = TAKE_PTR(underlay);
	return 0;
}

/* --- following the peers --- */

static int known_fd(const struct underlay *underlay, unsigned int side)
{
	return bpf_map__fd(side ? underlay->programs->maps.known_1 : underlay->programs->maps.known_0);
}

static int compare_endpoints(const void *a, const void *b)
{
	return endpoint_compare(a, b);
}

static bool list_holds(const struct endpoint_list *list, const struct endpoint *endpoint)
{
	return list->n &&
	       bsearch(endpoint, list->items, list->n, sizeof(*endpoint), compare_endpoints) != NULL;
}

/* The peers' endpoints, and with them those of `more` (may be NULL): as many as have a place. */
static int list_make(const struct wg_peers *peers, const struct endpoint_list *more, size_t max,
		     struct endpoint_list *ret_list)
{
	size_t n = 0, kept = 0;
	struct endpoint *items = calloc(peers->n + (more ? more->n : 0) + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i].endpoint.address.family)
			items[n++] = peers->items[i].endpoint;
	for (size_t i = 0; more && i < more->n; i++)
		items[n++] = more->items[i];
	qsort(items, n, sizeof(*items), compare_endpoints);
	for (size_t i = 0; i < n && kept < max; i++)
		if (kept == 0 || endpoint_compare(&items[kept - 1], &items[i]) != 0)
			items[kept++] = items[i];
	*ret_list = (struct endpoint_list){items, kept};
	return 0;
}

/*
 * Gives a side's map the endpoints of these peers. Only an empty side may lose any: on the side that is in
 * use they stay, since a program may be adding to one now.
 */
static int follow_endpoints(struct underlay *underlay, unsigned int side, const struct wg_peers *peers,
			    bool in_use)
{
	struct endpoint_list *known = &underlay->known[side], list;
	const struct flow_counts zero = {};
	int fd = known_fd(underlay, side);
	int r = list_make(peers, in_use ? known : NULL, underlay->max_endpoints, &list);

	if (r < 0)
		return r;
	for (size_t i = 0; i < known->n; i++) {
		struct underlay_remote key = underlay_remote_from(&known->items[i]);

		if (!list_holds(&list, &known->items[i]) && bpf_map_delete_elem(fd, &key) < 0 &&
		    errno != ENOENT)
			r = -errno;
	}
	for (size_t i = 0; i < list.n; i++) {
		struct underlay_remote key = underlay_remote_from(&list.items[i]);

		if (!list_holds(known, &list.items[i]) && bpf_map_update_elem(fd, &key, &zero, BPF_NOEXIST) &&
		    errno != EEXIST)
			r = -errno;
	}
	free(known->items);
	*known = list;
	return r;
}

/* For one more window the port before counts as well: datagrams on their way may still bear it. */
static int follow_port(struct underlay *underlay, uint16_t port)
{
	struct underlay_settings settings;
	uint32_t zero = 0;

	underlay->port_before = underlay->port == port ? 0 : underlay->port;
	underlay->port = port;
	settings = (struct underlay_settings){{htons(port), htons(underlay->port_before)}};
	return bpf_map_update_elem(bpf_map__fd(underlay->programs->maps.settings), &zero, &settings,
				   BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static int follow(struct underlay *underlay, const struct wg_peers *peers, bool changed)
{
	unsigned int old_side = epoch_old_side(underlay->epoch);
	int error = 0, r;

	if (peers->listen_port != underlay->port || underlay->port_before)
		error = follow_port(underlay, peers->listen_port);
	r = follow_endpoints(underlay, old_side, peers, false);
	error = error < 0 ? error : r;
	r = follow_endpoints(underlay, old_side ^ 1, peers, true);
	error = error < 0 ? error : r;
	r = attachments_follow(underlay->paths, peers, changed);
	underlay->follow_error = error < 0 ? error : r;
	return underlay->follow_error;
}

int underlay_enable(struct underlay *underlay, const struct wg_peers *peers)
{
	int r;

	if (underlay->enabled)
		return 0;
	take_changes(underlay);
	attachments_follow_addresses(underlay->paths);
	r = follow(underlay, peers, true);
	/* A peer without a way to it now, or one device that can't be watched, does not keep others from
	 * being counted. But where every device refuses, nothing would be. */
	if (r < 0 && attachments_count(underlay->paths) == 0) {
		underlay_disable(underlay);
		return r;
	}
	underlay->enabled = true;
	return 0;
}

void underlay_disable(struct underlay *underlay)
{
	attachments_detach(underlay->paths);
	epoch_synchronize(underlay->epoch);
	underlay->enabled = false;
}

/* --- emptying a side --- */

/* One window's entries on their way to being flows. */
struct drain {
	const struct underlay *underlay;
	struct endpoint_owners owners;
	struct extraction *extraction;
	uint16_t new_port; /* the tunnel's at the window's end, if it was another before; else 0 */
};

static struct counts counts_from(const struct flow_counts *counts)
{
	return (struct counts){.tx_packets = counts->tx_packets,
			       .tx_bytes = counts->tx_bytes,
			       .rx_packets = counts->rx_packets,
			       .rx_bytes = counts->rx_bytes};
}

/* An entry of a peer's, or else unknown; overflow without memory for it. */
static void add_entry(struct drain *drain, const struct underlay_remote *remote,
		      const struct flow_counts *kernel_counts)
{
	struct counts counts = counts_from(kernel_counts);
	struct endpoint endpoint = underlay_remote_endpoint(remote);
	const struct endpoint_owner *owner = endpoint_owners_find(&drain->owners, &endpoint);
	struct connection connection = {.dst = endpoint};

	if (!owner) {
		counts_add(&drain->extraction->unknown, &counts);
		return;
	}
	connection.src.address = owner->tailnet;
	if (flows_add(&drain->extraction->flows, &connection, &counts) < 0)
		counts_add(&drain->extraction->overflow, &counts);
}

static int drain_known(struct drain *drain, unsigned int side)
{
	const struct endpoint_list *known = &drain->underlay->known[side];
	const struct flow_counts zero = {};
	int fd = known_fd(drain->underlay, side);

	for (size_t i = 0; i < known->n; i++) {
		struct underlay_remote key = underlay_remote_from(&known->items[i]);
		struct flow_counts counts;

		if (bpf_map_lookup_elem(fd, &key, &counts) < 0) {
			if (errno == ENOENT)
				continue; /* there was no room for it when it was to be put there */
			return -errno;
		}
		if (memcmp(&counts, &zero, sizeof(zero)) == 0)
			continue;
		/* Without memory for it in the kernel it waits for the next time. */
		if (bpf_map_update_elem(fd, &key, &zero, BPF_EXIST) < 0)
			return -errno;
		add_entry(drain, &key, &counts);
	}
	return 0;
}

/* Whether it was sent to this machine: an address that the programs did not know of yet may be new. */
static bool is_for_us(const struct drain *drain, const struct underlay_stranger *stranger)
{
	struct address local = underlay_words_address(stranger->local, stranger->remote.family);
	struct address none = stranger->remote.family == 4 ? address_ipv4((const uint8_t[4]){})
							   : address_ipv6((const uint8_t[16]){});

	return address_compare(&local, &none) == 0 || attachments_is_local(drain->underlay->paths, &local);
}

static int drain_strangers(struct drain *drain, int fd,
			   void (*take)(struct drain *drain, const struct underlay_stranger *stranger,
					const struct flow_counts *counts))
{
	_cleanup_free_ struct underlay_stranger *keys = calloc(UNDERLAY_STRANGERS, sizeof(*keys));
	_cleanup_free_ struct flow_counts *values = calloc(UNDERLAY_STRANGERS, sizeof(*values));
	uint32_t position, n = UNDERLAY_STRANGERS;

	if (!keys || !values)
		return -ENOMEM;
	if (bpf_map_lookup_and_delete_batch(fd, NULL, &position, keys, values, &n, NULL) < 0 &&
	    errno != ENOENT)
		return -errno;
	for (uint32_t i = 0; i < n; i++)
		take(drain, &keys[i], &values[i]);
	return 0;
}

static void take_stranger(struct drain *drain, const struct underlay_stranger *stranger,
			  const struct flow_counts *counts)
{
	add_entry(drain, &stranger->remote, counts);
}

static bool is_our_port(const struct drain *drain, uint16_t port)
{
	const struct underlay *underlay = drain->underlay;

	return port && (port == underlay->port || port == underlay->port_before || port == drain->new_port);
}

/* What turns out to be the tunnel's was in no totals yet. */
static void take_other(struct drain *drain, const struct underlay_stranger *stranger,
		       const struct flow_counts *kernel_counts)
{
	struct counts counts = counts_from(kernel_counts);

	if (!is_our_port(drain, ntohs((uint16_t)stranger->local_port)) || !is_for_us(drain, stranger))
		return;
	counts_add(&drain->extraction->totals, &counts);
	add_entry(drain, &stranger->remote, kernel_counts);
}

static int drain_totals(struct drain *drain, unsigned int side)
{
	_cleanup_free_ struct underlay_totals *totals = NULL, *zero = NULL;
	int cpus = libbpf_num_possible_cpus(), fd = bpf_map__fd(drain->underlay->programs->maps.totals);

	if (cpus < 0)
		return cpus;
	totals = calloc((size_t)cpus, sizeof(*totals));
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!totals || !zero)
		return -ENOMEM;
	/* Counted only when they are gone from there, so never twice. */
	if (bpf_map_lookup_elem(fd, &side, totals) < 0 || bpf_map_update_elem(fd, &side, zero, BPF_ANY) < 0)
		return -errno;
	for (int i = 0; i < cpus; i++) {
		struct counts sum = counts_from(&totals[i].totals), unknown = counts_from(&totals[i].unknown);

		counts_add(&drain->extraction->totals, &sum);
		counts_add(&drain->extraction->unknown, &unknown);
	}
	return 0;
}

/* What the extraction holds of the totals that are still to be read. */
static struct counts ahead_of_totals(const struct extraction *extraction)
{
	struct counts sum = extraction->unknown;

	counts_add(&sum, &extraction->overflow);
	for (size_t i = 0; i < extraction->flows.n; i++)
		counts_add(&sum, &extraction->flows.items[i].counts);
	return counts_difference(&sum, &extraction->totals);
}

static int drain_side(struct drain *drain, unsigned int side, struct counts *handed_over)
{
	struct extraction *extraction = drain->extraction;
	const struct physical *programs = drain->underlay->programs;
	int received = bpf_map__fd(side ? programs->maps.received_1 : programs->maps.received_0);
	int sent = bpf_map__fd(side ? programs->maps.sent_1 : programs->maps.sent_0);
	int others = bpf_map__fd(side ? programs->maps.others_1 : programs->maps.others_0);
	int r = drain_known(drain, side);

	if (r == 0)
		r = drain_strangers(drain, received, take_stranger);
	if (r == 0)
		r = drain_strangers(drain, sent, take_stranger);
	if (r == 0)
		r = drain_strangers(drain, others, take_other);
	/* Last: entries that are still there are still in the totals. */
	if (r == 0)
		r = drain_totals(drain, side);
	if (r < 0) {
		struct counts ahead = ahead_of_totals(extraction);

		counts_add(handed_over, &ahead);
		counts_add(&extraction->totals, &ahead);
		return r;
	}
	extraction->totals = counts_difference(&extraction->totals, handed_over);
	*handed_over = (struct counts){};
	return 0;
}

int underlay_extract(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		     struct extraction *extraction)
{
	_cleanup_(endpoint_owners_deinit) struct endpoint_owners owners = {};
	struct drain drain = {.underlay = underlay, .extraction = extraction};
	bool changed = take_changes(underlay);
	unsigned int old_side = epoch_old_side(underlay->epoch);
	int r = epoch_wait(underlay->epoch), error;

	/* Before it is decided whose entries are, so that an address that came in this window is known. */
	if (changed)
		attachments_follow_addresses(underlay->paths);
	if (r == 0)
		r = endpoint_owners_make(before, after, &owners);
	if (r < 0)
		return r;
	drain.owners = owners;
	if (after && after->listen_port != underlay->port)
		drain.new_port = after->listen_port;
	error = drain_side(&drain, old_side, &underlay->handed_over[old_side]);
	extraction->has_totals = error == 0;
	if (underlay->enabled && error == 0)
		follow(underlay, after ? after : before, changed);
	return error;
}

const char *underlay_describe(struct underlay *underlay)
{
	return attachments_describe(underlay->paths);
}

int underlay_follow_error(const struct underlay *underlay)
{
	return underlay->follow_error;
}

uint64_t underlay_memory(const struct underlay *underlay)
{
	return underlay->memory;
}
