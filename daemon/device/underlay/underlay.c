/* SPDX-License-Identifier: BSD-3-Clause */
/* The maps of the endpoints: which endpoints they hold, emptying them, and which peer each entry belongs to.
 */

#include "daemon/device/underlay/underlay.h"

#include "common/time_text.h"
#include "daemon/bpf/physical.skel.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/epoch.h"
#include "daemon/device/map_memory.h"
#include "daemon/device/preemption.h"
#include "daemon/net/changes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Between two extractions because of changes of the network. */
#define CHANGES_PAUSE (250 * NSEC_PER_MSEC)

struct endpoint_list {
	struct underlay_remote *items; /* sorted, each once */
	size_t n;
};

struct underlay {
	struct epoch *epoch; /* borrowed */
	struct physical *programs;
	struct attachments *attachments;
	struct endpoint_list known[FLOW_SIDES]; /* what each side's map holds */
	/* Entries that were handed over while the side's totals, which include them, were not. */
	struct counts handed_over[FLOW_SIDES];
	uint32_t max_endpoints;
	uint16_t port, port_before;
	bool enabled;
	bool grew; /* by the last attempt to follow peers and devices, one more device is watched */
	struct underlay *before; /* took over from it: until its last counts are handed over; or NULL */
	int follow_error;	 /* of the last attempt to follow peers and devices */
	uint64_t memory;
	int changes_fd; /* the kernel's changes */
	int pause_fd;	/* a timer */
	int wait_fd;	/* epoll over whichever of the two matters now */
	bool changed;	/* something that matters, since the last extraction */
	bool paused;	/* the timer runs */
};

/* --- the descriptor that asks for an extraction when the network changes --- */

static int watch(struct underlay *underlay, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(underlay->wait_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int open_changes(struct underlay *underlay)
{
	int r = net_changes_open(NET_CHANGES_ALL, &underlay->changes_fd);

	if (r < 0)
		return r;
	underlay->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	underlay->pause_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (underlay->wait_fd < 0 || underlay->pause_fd < 0)
		return -errno;
	r = watch(underlay, EPOLL_CTL_ADD, underlay->changes_fd, EPOLLIN);
	return r < 0 ? r : watch(underlay, EPOLL_CTL_ADD, underlay->pause_fd, EPOLLIN);
}

static bool route_matters(const struct prefix *destination, void *userdata)
{
	const struct underlay *underlay = userdata;

	return attachments_route_matters(underlay->attachments, destination);
}

/* Takes what has been reported. Routes that lead to no peer cost only this. */
static void read_changes(struct underlay *underlay)
{
	uint64_t expired;

	if (net_changes_read(underlay->changes_fd, route_matters, underlay))
		underlay->changed = true;
	if (read(underlay->pause_fd, &expired, sizeof(expired)) > 0) {
		watch(underlay, EPOLL_CTL_MOD, underlay->changes_fd, EPOLLIN);
		underlay->paused = false;
	}
}

/* A routing daemon may change routes all the time. So after a change that mattered the descriptor stays quiet
 * for the pause, and then becomes readable once for everything that has come since. */
static bool take_changes(struct underlay *underlay)
{
	const struct itimerspec pause = {.it_value.tv_nsec = CHANGES_PAUSE};
	bool changed;

	read_changes(underlay);
	changed = underlay->changed;
	underlay->changed = false;
	if (changed) {
		watch(underlay, EPOLL_CTL_MOD, underlay->changes_fd, 0);
		timerfd_settime(underlay->pause_fd, 0, &pause, NULL);
		underlay->paused = true;
	}
	return changed;
}

bool underlay_wants_extraction(struct underlay *underlay)
{
	read_changes(underlay);
	return underlay->changed && !underlay->paused;
}

int underlay_changes_fd(const struct underlay *underlay)
{
	return underlay->wait_fd;
}

/* --- making and freeing --- */

void underlay_free(struct underlay *underlay)
{
	if (!underlay)
		return;
	underlay_free(underlay->before);
	attachments_free(underlay->attachments);
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
	const struct bpf_map *map;
	int r;

	if (!programs)
		return -errno;
	underlay->programs = programs;
	programs->rodata->preemptible = programs_preempt();
	r = bpf_map__set_max_entries(programs->maps.known_0, underlay->max_endpoints);
	if (r == 0)
		r = bpf_map__set_max_entries(programs->maps.known_1, underlay->max_endpoints);
	if (r == 0)
		r = bpf_map__reuse_fd(programs->maps.epoch, epoch_map_fd(underlay->epoch));
	if (r == 0)
		r = physical__load(programs);
	if (r < 0)
		return r;
	bpf_object__for_each_map(map, programs->obj)
	{
		underlay->memory += map_memory(bpf_map__fd(map));
	}
	return 0;
}

int underlay_new(const struct underlay_options *options, struct underlay **ret_underlay)
{
	_cleanup_(underlay_freep) struct underlay *underlay = calloc(1, sizeof(*underlay));
	struct attachments_options attachments;
	const struct physical *programs;
	int r;

	if (!underlay)
		return -ENOMEM;
	underlay->changes_fd = underlay->pause_fd = underlay->wait_fd = -1;
	underlay->epoch = options->epoch;
	underlay->max_endpoints = MAX(options->max_endpoints, 16U);
	r = load(underlay);
	if (r == 0)
		r = open_changes(underlay);
	if (r < 0)
		return r;
	programs = underlay->programs;
	attachments = (struct attachments_options){
		.mode = options->mode,
		.devices = options->devices,
		.tunnel = options->tunnel,
		.without_tcx = options->without_tcx,
		.ingress = {bpf_program__fd(programs->progs.count_ingress_raw),
			    bpf_program__fd(programs->progs.count_ingress_ethernet)},
		.egress = {bpf_program__fd(programs->progs.count_egress_raw),
			   bpf_program__fd(programs->progs.count_egress_ethernet)},
		.devices_map = bpf_map__fd(programs->maps.devices),
		.locals_map = bpf_map__fd(programs->maps.locals),
	};
	r = attachments_new(&attachments, &underlay->attachments);
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

static int compare_remotes(const void *a, const void *b)
{
	return underlay_remote_compare(a, b);
}

static bool list_holds(const struct endpoint_list *list, const struct underlay_remote *remote)
{
	return list->n && bsearch(remote, list->items, list->n, sizeof(*remote), compare_remotes) != NULL;
}

/* The peers' endpoints and those of `more` (may be NULL), `max` at most. */
static int list_make(const struct wg_peers *peers, const struct endpoint_list *more, size_t max,
		     struct endpoint_list *ret_list)
{
	size_t n = 0, kept = 0;
	struct underlay_remote *items = calloc(peers->n + (more ? more->n : 0) + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i].endpoint.address.family)
			items[n++] = underlay_remote_of(&peers->items[i]);
	for (size_t i = 0; more && i < more->n; i++)
		items[n++] = more->items[i];
	qsort(items, n, sizeof(*items), compare_remotes);
	for (size_t i = 0; i < n && kept < max; i++)
		if (kept == 0 || underlay_remote_compare(&items[kept - 1], &items[i]) != 0)
			items[kept++] = items[i];
	*ret_list = (struct endpoint_list){items, kept};
	return 0;
}

/*
 * Gives a side's map the endpoints of these peers. On the side in use none is removed, since a program
 * may be adding to one now.
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
		const struct underlay_remote *key = &known->items[i];

		if (!list_holds(&list, key) && bpf_map_delete_elem(fd, key) < 0 && errno != ENOENT)
			r = -errno;
	}
	for (size_t i = 0; i < list.n; i++) {
		const struct underlay_remote *key = &list.items[i];

		if (!list_holds(known, key) && bpf_map_update_elem(fd, key, &zero, BPF_NOEXIST) &&
		    errno != EEXIST)
			r = -errno;
	}
	free(known->items);
	*known = list;
	return r;
}

static int write_ports(const struct underlay *underlay)
{
	struct underlay_settings settings = {{htons(underlay->port), htons(underlay->port_before)}};
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(underlay->programs->maps.settings), &zero, &settings,
				   BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static int follow(struct underlay *underlay, const struct wg_peers *peers, bool changed)
{
	unsigned int old_side = epoch_old_side(underlay->epoch);
	int error = 0, r;

	if (peers->listen_port != underlay->port || underlay->port_before) {
		/* The previous port counts for one more window: datagrams on their way may still have it. */
		underlay->port_before = underlay->port == peers->listen_port ? 0 : underlay->port;
		underlay->port = peers->listen_port;
		error = write_ports(underlay);
	}
	r = follow_endpoints(underlay, old_side, peers, false);
	error = error < 0 ? error : r;
	r = follow_endpoints(underlay, old_side ^ 1, peers, true);
	error = error < 0 ? error : r;
	r = attachments_follow(underlay->attachments, peers, changed);
	underlay->grew = attachments_grew(underlay->attachments);
	underlay->follow_error = error < 0 ? error : r;
	return underlay->follow_error;
}

int underlay_enable(struct underlay *underlay, const struct wg_peers *peers)
{
	int r;

	if (underlay->enabled)
		return 0;
	take_changes(underlay);
	attachments_follow_addresses(underlay->attachments);
	r = follow(underlay, peers, true);
	underlay->enabled = true;
	/* A peer without a route, or a device that cannot be watched, does not keep the others from being
	 * counted. */
	return attachments_count(underlay->attachments) == 0 ? r : 0;
}

int underlay_take_over(struct underlay *underlay, struct underlay *from, const struct wg_peers *peers)
{
	int error, r;

	take_changes(underlay);
	attachments_follow_addresses(underlay->attachments);
	underlay->port = from->port;
	underlay->port_before = from->port_before;
	error = follow_endpoints(underlay, 0, peers, false);
	r = follow_endpoints(underlay, 1, peers, false);
	error = error < 0 ? error : r;
	r = write_ports(underlay);
	if (r == 0)
		r = attachments_take_over(underlay->attachments, from->attachments);
	if (r < 0)
		return r;
	underlay->enabled = true;
	from->enabled = false;
	underlay->before = from;
	r = attachments_follow(underlay->attachments, peers, true);
	underlay->grew = attachments_grew(underlay->attachments);
	underlay->follow_error = error < 0 ? error : r;
	return 0;
}

void underlay_disable(struct underlay *underlay)
{
	attachments_detach(underlay->attachments);
	epoch_synchronize(underlay->epoch);
	underlay->enabled = false;
}

/* --- emptying a side --- */

/* One window's entries as they become flows. */
struct drain {
	const struct underlay *underlay;
	struct underlay_sight *sight;
	struct extraction *extraction;
	uint16_t new_port; /* the tunnel's at the window's end, if it changed; else 0 */
};

static struct counts counts_from(const struct flow_counts *counts)
{
	return (struct counts){.tx_packets = counts->tx_packets,
			       .tx_bytes = counts->tx_bytes,
			       .rx_packets = counts->rx_packets,
			       .rx_bytes = counts->rx_bytes};
}

/* To the peer that owns the endpoint, else to unknown; to overflow if there is no memory. */
static void add_entry(struct drain *drain, const struct underlay_remote *remote,
		      const struct flow_counts *kernel_counts)
{
	struct counts counts = counts_from(kernel_counts);
	const struct endpoint_owner *owner = endpoint_owners_find(&drain->sight->owners, remote);
	struct connection connection = {.dst = underlay_remote_endpoint(remote)};

	if (!owner || owner->shared) {
		counts_add(&drain->extraction->unknown, &counts);
		return;
	}
	connection.src.address = owner->tailnet;
	if (flows_add(&drain->extraction->flows, &connection, &counts) < 0)
		counts_add(&drain->extraction->overflow, &counts);
	if (owner->peer != OWNER_GONE)
		counts_add(&drain->sight->peers[owner->peer].counts, &counts);
}

static int drain_known(struct drain *drain, unsigned int side)
{
	const struct endpoint_list *known = &drain->underlay->known[side];
	const struct flow_counts zero = {};
	int fd = known_fd(drain->underlay, side);

	for (size_t i = 0; i < known->n; i++) {
		const struct underlay_remote *key = &known->items[i];
		struct flow_counts counts;

		if (bpf_map_lookup_elem(fd, key, &counts) < 0) {
			if (errno == ENOENT)
				continue; /* the map was full when it should have been inserted */
			return -errno;
		}
		if (memcmp(&counts, &zero, sizeof(zero)) == 0)
			continue;
		/* If the kernel has no memory for this, the entry waits for the next extraction. */
		if (bpf_map_update_elem(fd, key, &zero, BPF_EXIST) < 0)
			return -errno;
		add_entry(drain, key, &counts);
	}
	return 0;
}

static int drain_unknown(struct drain *drain, int fd,
			 void (*take)(struct drain *drain, const struct underlay_unknown_peer *peer,
				      const struct flow_counts *counts))
{
	_cleanup_free_ struct underlay_unknown_peer *keys = calloc(UNDERLAY_UNKNOWN_PEERS, sizeof(*keys));
	_cleanup_free_ struct flow_counts *values = calloc(UNDERLAY_UNKNOWN_PEERS, sizeof(*values));
	uint32_t position, n = UNDERLAY_UNKNOWN_PEERS;

	if (!keys || !values)
		return -ENOMEM;
	if (bpf_map_lookup_and_delete_batch(fd, NULL, &position, keys, values, &n, NULL) < 0 &&
	    errno != ENOENT)
		return -errno;
	for (uint32_t i = 0; i < n; i++)
		take(drain, &keys[i], &values[i]);
	return 0;
}

static void take_unknown_peer(struct drain *drain, const struct underlay_unknown_peer *peer,
			      const struct flow_counts *counts)
{
	add_entry(drain, &peer->remote, counts);
}

static bool is_own_port(const struct drain *drain, uint16_t port)
{
	const struct underlay *underlay = drain->underlay;

	return port && (port == underlay->port || port == underlay->port_before || port == drain->new_port);
}

/* Whether a datagram in `others` was the tunnel's after all: of a port and an address that the programs may
 * not have known yet. No totals include it so far. If one that left was not, the peer's datagrams may leave
 * by another port than the tunnel's own. */
static void take_other(struct drain *drain, const struct underlay_unknown_peer *peer,
		       const struct flow_counts *kernel_counts)
{
	struct address local = underlay_words_address(peer->local, peer->remote.family);
	struct address sent = underlay_words_address((const __u32[4]){}, peer->remote.family);
	struct counts counts = counts_from(kernel_counts);
	const struct endpoint_owner *owner;

	if (address_compare(&local, &sent) != 0 &&
	    !attachments_is_local(drain->underlay->attachments, &local))
		return;
	if (is_own_port(drain, ntohs((uint16_t)peer->local_port))) {
		counts_add(&drain->extraction->totals, &counts);
		add_entry(drain, &peer->remote, kernel_counts);
		return;
	}
	owner = endpoint_owners_find(&drain->sight->owners, &peer->remote);
	if (owner && owner->peer != OWNER_GONE && counts.tx_packets)
		drain->sight->peers[owner->peer].elsewhere = true;
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
	/* They count only once they are removed from the map, so never twice. */
	if (bpf_map_lookup_elem(fd, &side, totals) < 0 || bpf_map_update_elem(fd, &side, zero, BPF_ANY) < 0)
		return -errno;
	for (int i = 0; i < cpus; i++) {
		struct counts sum = counts_from(&totals[i].totals), unknown = counts_from(&totals[i].unknown);

		counts_add(&drain->extraction->totals, &sum);
		counts_add(&drain->extraction->unknown, &unknown);
		drain->sight->largest = MAX(drain->sight->largest, totals[i].largest);
	}
	return 0;
}

static int drain_side(struct drain *drain, unsigned int side, struct counts *handed_over)
{
	struct extraction *extraction = drain->extraction;
	const struct physical *programs = drain->underlay->programs;
	int received = bpf_map__fd(side ? programs->maps.received_1 : programs->maps.received_0);
	int sent = bpf_map__fd(side ? programs->maps.sent_1 : programs->maps.sent_0);
	int others = bpf_map__fd(side ? programs->maps.others_1 : programs->maps.others_0);
	struct counts ahead;
	int r = drain_known(drain, side);

	if (r == 0)
		r = drain_unknown(drain, received, take_unknown_peer);
	if (r == 0)
		r = drain_unknown(drain, sent, take_unknown_peer);
	if (r == 0)
		r = drain_unknown(drain, others, take_other);
	/* Last: if some entries remain, the totals remain with them. */
	if (r == 0)
		r = drain_totals(drain, side);
	if (r == 0) {
		extraction->totals = counts_difference(&extraction->totals, handed_over);
		*handed_over = (struct counts){};
		return 0;
	}
	/* The extraction's entries are ahead of the totals, which are still to be read. */
	ahead = extraction->unknown;
	counts_add(&ahead, &extraction->overflow);
	for (size_t i = 0; i < extraction->flows.n; i++)
		counts_add(&ahead, &extraction->flows.items[i].counts);
	ahead = counts_difference(&ahead, &extraction->totals);
	counts_add(handed_over, &ahead);
	counts_add(&extraction->totals, &ahead);
	return r;
}

void underlay_sight_deinit(struct underlay_sight *sight)
{
	endpoint_owners_deinit(&sight->owners);
	free(sight->peers);
	*sight = (struct underlay_sight){};
}

/* The peers of one reading whose endpoint others have too. list: their numbers are those in it. */
static void mark_shared(const struct wg_peers *peers, const struct wg_peers *list,
			struct underlay_sight *sight)
{
	for (size_t i = 0; i < peers->n; i++) {
		struct underlay_remote remote = underlay_remote_of(&peers->items[i]);
		const struct endpoint_owner *owner = endpoint_owners_find(&sight->owners, &remote);
		const struct wg_peer *listed = wg_peers_find(list, peers->items[i].public_key);

		if (owner && owner->shared && listed)
			sight->peers[listed - list->items].shared = true;
	}
}

static int make_sight(const struct wg_peers *before, const struct wg_peers *after,
		      struct underlay_sight *sight)
{
	const struct wg_peers *list = after ? after : before;
	int r;

	sight->peers = calloc(list->n + 1, sizeof(*sight->peers));
	if (!sight->peers)
		return -ENOMEM;
	r = endpoint_owners_make(before, after, &sight->owners);
	if (r < 0 || !sight->owners.any_shared)
		return r;
	mark_shared(before, list, sight);
	if (after)
		mark_shared(after, list, sight);
	return 0;
}

static int extract_own(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		       struct underlay_sight *sight, struct extraction *extraction)
{
	struct drain drain = {.underlay = underlay, .sight = sight, .extraction = extraction};
	bool changed = take_changes(underlay), grew_before = underlay->grew;
	unsigned int old_side = epoch_old_side(underlay->epoch);
	int r = epoch_wait(underlay->epoch), moved = 0;

	/* First, so that an address that was added in this window is known. */
	if (changed)
		moved = attachments_follow_addresses(underlay->attachments);
	if (r < 0)
		return r;
	if (after && after->listen_port != underlay->port)
		drain.new_port = after->listen_port;
	sight->settled = moved == 0 && !drain.new_port;
	r = drain_side(&drain, old_side, &underlay->handed_over[old_side]);
	/* Nothing counts any more, and there may be no other extraction. */
	if (r == 0 && !underlay->enabled)
		r = drain_side(&drain, !old_side, &underlay->handed_over[!old_side]);
	extraction->has_totals = r == 0;
	if (underlay->enabled && r == 0)
		follow(underlay, after ? after : before, changed);
	sight->grew = grew_before || underlay->grew;
	return r;
}

/* What took over comes last: the sight is of its next window. */
static int extract_all(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		       struct underlay_sight *sight, struct extraction *extraction)
{
	struct extraction last = {};
	int r, r_last = 0;

	if (underlay->before)
		r_last = extract_all(underlay->before, before, after, sight, &last);
	r = extract_own(underlay, before, after, sight, extraction);
	if (!underlay->before)
		return r;
	extraction_merge(extraction, &last);
	/* If this failed now, what remains is handed over next time. */
	if (r_last < 0)
		return r < 0 ? r : r_last;
	underlay_free(TAKE_PTR(underlay->before));
	return r;
}

int underlay_extract(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		     struct underlay_sight *ret_sight, struct extraction *extraction)
{
	int r = make_sight(before, after, ret_sight);

	return r < 0 ? r : extract_all(underlay, before, after, ret_sight, extraction);
}

/* Adds what a map of the side in use holds for this key. */
static void peek_at(int fd, const void *key, struct counts *counts)
{
	struct flow_counts found;
	struct counts more;

	if (bpf_map_lookup_elem(fd, key, &found) < 0)
		return;
	more = counts_from(&found);
	counts_add(counts, &more);
}

void underlay_peek(struct underlay *underlay, const struct underlay_sight *sight, size_t number,
		   const struct wg_peer *peer, struct counts *counts)
{
	const struct physical *programs = underlay->programs;
	unsigned int side = epoch_old_side(underlay->epoch) ^ 1;
	struct underlay_unknown_peer key = {.remote = underlay_remote_of(peer)};
	const struct endpoint_owner *owner = endpoint_owners_find(&sight->owners, &key.remote);

	if (!owner || owner->peer != number || owner->shared)
		return;
	peek_at(known_fd(underlay, side), &key.remote, counts);
	/* Before its endpoint was known. */
	peek_at(bpf_map__fd(side ? programs->maps.received_1 : programs->maps.received_0), &key, counts);
	peek_at(bpf_map__fd(side ? programs->maps.sent_1 : programs->maps.sent_0), &key, counts);
}

enum attachments_gap underlay_find_gap(const struct underlay *underlay, const struct wg_peer *peer,
				       const char **ret_device, int *ret_error)
{
	return attachments_find_gap(underlay->attachments, peer, ret_device, ret_error);
}

void underlay_get_info(struct underlay *underlay, struct underlay_info *ret_info)
{
	*ret_info = (struct underlay_info){
		.devices = attachments_describe(underlay->attachments),
		.follow_error = underlay->follow_error,
		.refused = attachments_refused(underlay->attachments),
		.memory = underlay->memory,
	};
}
