/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts what Tailscale sends to and receives from each peer by tailscaled's own counters, which a helper
 * reads (daemon/tailscale). A reading ends the window; it is asked for when the window's end has come, and
 * waited for up to a second. While the API is slower than that nobody waits for it any more: what it says in
 * the meantime counts in the window after, and nothing is lost, since counters do not forget.
 */

#include "daemon/device/tailscale/tailscale.h"

#include "common/buffer.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/plain_text.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "common/unix_socket.h"
#include "daemon/device/interface.h"
#include "daemon/device/tailscale/account.h"
#include "daemon/device/tailscale/events.h"
#include "daemon/device/tailscale/helper.h"
#include "daemon/device/tailscale/reading.h"
#include "daemon/tailscale/form.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WAIT_NS	      NSEC_PER_SEC
#define WAIT_SLOW_NS  (50 * NSEC_PER_MSEC) /* when it took longer than that lately */
#define SLOW_MS	      800
#define REMEMBERED_NS (3600 * NSEC_PER_SEC) /* nodes that have gone */
#define WARN_AFTER    3			    /* readings in a row that failed */
#define CHUNK	      65536

/* All that moves when another device takes over. */
struct tailscale_view {
	char *socket;
	struct tailscale_helper *helper;
	struct tailscale_nodes *nodes;
	struct tailscale_reading *reading;
	struct tailscale_events *events;
	uint64_t number;   /* of the last request */
	uint64_t answered; /* of the last request that was answered */
	uint64_t readings; /* complete ones that were asked for */
	bool slow;	   /* the last answer took longer than a window may wait */
	bool counting;	   /* there was a reading to count from */
	bool from_zero;	   /* there was no tailscaled before the first reading */
	char server[80];   /* of the last reading */
	char state[64], backend[192];
	char problem[400]; /* why there is no reading; "": there is one */
	uint64_t skipped;
	unsigned int failures; /* readings that were asked for in vain, in a row */
};

struct tailscale {
	struct device device;
	char *interface;
	unsigned int ifindex;
	struct tailscale_view *view;
	bool ended; /* disabled, and its last counts were not handed over yet */
	struct buffer reason;
};

/* ---- readings -------------------------------------------------------------------------------------- */

static void note_problem(struct tailscale_view *view, const struct tailscale_result *result)
{
	snprintf(view->problem, sizeof(view->problem), "no reading of tailscaled on %s: %s", view->socket,
		 result->reason);
	plain_text_clean(view->problem);
	/* Who has not listened cannot have counted. */
	if (result->absent && !view->counting)
		view->from_zero = true;
}

static void on_ended(const struct tailscale_result *result, void *userdata)
{
	struct tailscale_view *view = userdata;
	enum tailscale_step step = TAILSCALE_STEP_GO_ON;

	if (result->number > view->answered && result->number <= view->number)
		view->answered = result->number;
	view->slow = result->took_ms > SLOW_MS;
	if (result->problem) {
		note_problem(view, result);
		return;
	}
	if (!view->counting && !view->from_zero)
		step = TAILSCALE_STEP_BASELINE;
	else if (strcmp(view->server, result->server) != 0)
		step = TAILSCALE_STEP_RESTARTED;
	tailscale_account_step(view->nodes, step, time_now_wall(), time_now_boot());
	tailscale_nodes_forget(view->nodes, time_now_boot() - REMEMBERED_NS);
	view->counting = true;
	view->readings += result->number > 0;
	view->skipped = result->skipped;
	*view->problem = '\0';
	snprintf(view->server, sizeof(view->server), "%s", result->server);
	snprintf(view->state, sizeof(view->state), "%s", result->state);
	plain_text_clean(view->state);
	snprintf(view->backend, sizeof(view->backend), "tailscaled %s: %s",
		 *result->version ? result->version : "of an unknown version",
		 *result->state ? result->state : "in an unknown state");
	plain_text_clean(view->backend);
}

static void give_up(struct tailscale *tailscale, const char *why)
{
	struct tailscale_view *view = tailscale->view;

	snprintf(view->problem, sizeof(view->problem), "netlogd-tailscale %s; starting it again", why);
	log_debug("sock: %s", view->problem);
	tailscale_helper_give_up(view->helper);
	/* Nobody will answer what it was asked. */
	view->answered = view->number;
}

/* Takes what the helper says until it has answered the last request, or that time has come. */
static int take_answers(struct tailscale *tailscale, int64_t deadline)
{
	struct tailscale_view *view = tailscale->view;
	int64_t limit = MAX(deadline, time_now_boot()) + WAIT_NS;
	char *chunk = malloc(CHUNK);
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && view->answered != view->number) {
		ssize_t n = tailscale_helper_read(view->helper, deadline, chunk, CHUNK);

		if (n == 0)
			break;
		if (n < 0) {
			give_up(tailscale, "has ended");
			r = (int)n;
			break;
		}
		r = tailscale_reading_feed(view->reading, chunk, (size_t)n);
		if (r < 0)
			give_up(tailscale, "makes no sense");
		/* However much there is. */
		if (r == 0 && time_now_boot() > limit)
			break;
	}
	free(chunk);
	return r;
}

static int ask(struct tailscale *tailscale)
{
	struct tailscale_view *view = tailscale->view;
	int r = tailscale_helper_ask(view->helper, view->number + 1);

	if (r < 0) {
		view->answered = view->number;
		if (r != -EAGAIN || !*view->problem)
			snprintf(view->problem, sizeof(view->problem),
				 "netlogd-tailscale cannot be started: %s", strerror(-r));
		return r;
	}
	/* Another one knows nothing of what was asked before. */
	if (r > 0) {
		tailscale_reading_restart(view->reading);
		view->slow = false;
		view->answered = view->number;
	}
	view->number++;
	return 0;
}

/* Asks for a reading, and waits for it if that is worth it. 0 when there was one since the last time. */
static int read_now(struct tailscale *tailscale)
{
	struct tailscale_view *view = tailscale->view;
	bool late = view->answered != view->number;
	uint64_t readings = view->readings, answered = view->answered;
	int r = 0;

	/* First what has come meanwhile. */
	if (late)
		r = take_answers(tailscale, 0);
	late = late && view->answered != view->number;
	if (r == 0)
		r = ask(tailscale);
	if (r == 0)
		r = take_answers(tailscale, time_now_boot() + (late || view->slow ? WAIT_SLOW_NS : WAIT_NS));
	if (r == 0 && view->answered == view->number) {
		r = *view->problem ? -EIO : 0;
	} else if (view->readings != readings) {
		/* One of a moment ago will do. */
		r = 0;
	} else if (r == 0) {
		r = -ETIMEDOUT;
		if (view->answered == answered || !*view->problem)
			snprintf(view->problem, sizeof(view->problem),
				 "no reading of tailscaled on %s: it does not answer in time", view->socket);
	}
	view->failures = r < 0 ? view->failures + 1 : 0;
	return r;
}

/* ---- operations ------------------------------------------------------------------------------------ */

static void view_free(struct tailscale_view *view)
{
	if (!view)
		return;
	tailscale_helper_free(view->helper);
	tailscale_reading_free(view->reading);
	tailscale_nodes_free(view->nodes);
	tailscale_events_free(view->events);
	free(view->socket);
	free(view);
}

static void tailscale_free(struct device *device)
{
	struct tailscale *tailscale = (struct tailscale *)device;

	if (!tailscale)
		return;
	view_free(tailscale->view);
	buffer_deinit(&tailscale->reason);
	free(tailscale->interface);
	free(tailscale);
}
DEFINE_CLEANUP(struct device *, tailscale_free);

static int tailscale_set_statistics_enabled(struct device *device, bool enabled)
{
	struct tailscale *tailscale = (struct tailscale *)device;

	if (enabled == device->enabled)
		return 0;
	device->enabled = enabled;
	if (enabled)
		tailscale->view->counting = false;
	tailscale->ended = !enabled;
	/* An API that does not answer now is read when it does. */
	read_now(tailscale);
	return 0;
}

static void take_event(const struct device_event *event, void *userdata)
{
	tailscale_events_add(event, userdata);
}

static int tailscale_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct tailscale *tailscale = (struct tailscale *)device;
	struct extraction extraction = {};
	int r = 0;

	if (device->enabled)
		r = read_now(tailscale);
	if (device->enabled || tailscale->ended)
		tailscale_account_extract(tailscale->view->nodes, time_now_boot(), &extraction, take_event,
					  tailscale->view->events);
	tailscale->ended = false;
	extraction.errors = r < 0;
	*ret_extraction = extraction;
	return r;
}

/* Why the counts may not be all; NULL: they are. */
static const char *describe(struct tailscale *tailscale)
{
	const struct tailscale_view *view = tailscale->view;
	struct buffer *text = &tailscale->reason;

	if (*view->problem)
		return view->problem;
	buffer_reset(text);
	if (*view->state && strcmp(view->state, "Running") != 0)
		buffer_printf(text, "tailscaled is not running its tunnel: its state is %s", view->state);
	if (view->skipped > 0)
		buffer_printf(text, "%s%llu %s of tailscaled's left out: more than %d, or nonsense",
			      text->length ? "; " : "", (unsigned long long)view->skipped,
			      plural(view->skipped, "peer is", "peers are"), TAILSCALE_PEERS_MAX);
	if (text->length == 0)
		return NULL;
	buffer_append_char(text, '\0');
	return buffer_error(text) ? NULL : text->data;
}

static void tailscale_get_info(struct device *device, struct device_info *ret_info)
{
	struct tailscale *tailscale = (struct tailscale *)device;
	const struct tailscale_view *view = tailscale->view;

	*ret_info = (struct device_info){
		.source = SOURCE_TAILSCALE,
		.attachment = view->socket,
		.reason = describe(tailscale),
		/* One window without a reading is made up for by the next. */
		.warning = view->failures >= WARN_AFTER ? view->problem : NULL,
		.interface = tailscale->interface,
		.ifindex = tailscale->ifindex,
		.backend = *view->backend ? view->backend : NULL,
	};
}

/* Of the last reading. */
static int tailscale_get_allowed_ips(struct device *device, struct prefix_list *allowed_ips)
{
	const struct tailscale_view *view = ((struct tailscale *)device)->view;
	int r = 0;

	for (size_t i = 0; i < tailscale_nodes_count(view->nodes); i++) {
		const struct tailscale_node *node = tailscale_nodes_get(view->nodes, i);

		for (size_t j = 0; r == 0 && !node->self && node->here && j < node->allowed_ips.n; j++)
			r = prefix_list_add(allowed_ips, &node->allowed_ips.items[j]);
	}
	return r;
}

static bool is_own(const struct tailscale_node *node, const struct prefix *prefix)
{
	for (size_t i = 0; i < node->addresses.n; i++)
		if (prefix_equal(&node->addresses.items[i], prefix))
			return true;
	return false;
}

/* Its allowed IPs are its addresses and what it serves; for the whole world, as an exit node, that is no
 * network. */
static int tailscale_get_own_routes(struct device *device, struct route_lists *lists)
{
	const struct tailscale_view *view = ((struct tailscale *)device)->view;
	int r = 0;

	for (size_t i = 0; i < tailscale_nodes_count(view->nodes); i++) {
		const struct tailscale_node *node = tailscale_nodes_get(view->nodes, i);

		if (!node->self || !node->here)
			continue;
		for (size_t j = 0; r == 0 && j < node->addresses.n; j++)
			r = prefix_list_add(&lists->local_addrs, &node->addresses.items[j]);
		for (size_t j = 0; r == 0 && j < node->allowed_ips.n; j++) {
			const struct prefix *prefix = &node->allowed_ips.items[j];

			if (prefix->length > 0 && !is_own(node, prefix))
				r = prefix_list_add(&lists->subnet_routes, prefix);
		}
	}
	return r;
}

static void tailscale_foreach_peer(struct device *device,
				   void (*peer)(const struct device_peer *peer, void *userdata),
				   void *userdata)
{
	const struct tailscale_view *view = ((struct tailscale *)device)->view;

	for (size_t i = 0; i < tailscale_nodes_count(view->nodes); i++) {
		const struct tailscale_node *node = tailscale_nodes_get(view->nodes, i);
		struct device_peer to = {
			.id = node->id,
			.name = node->name,
			.named = node->named,
			.self = node->self,
			.has_public_key = node->has_public_key,
			.endpoint = node->endpoint,
			.path = node->path,
			.via = *node->via ? node->via : NULL,
			.region = node->region,
			.last_handshake = node->last_handshake,
			.last_seen = MAX(node->last_seen, node->received_wall),
			.tx_bytes = node->tx,
			.rx_bytes = node->rx,
			.allowed_ips = &node->allowed_ips,
			.addresses = &node->addresses,
			.os = node->os,
			.user = node->user,
			.tags = node->tags,
		};

		if (!node->here)
			continue;
		memcpy(to.public_key, node->public_key, sizeof(to.public_key));
		peer(&to, userdata);
	}
}

static uint64_t tailscale_identities(struct device *device)
{
	return tailscale_reading_identities(((struct tailscale *)device)->view->reading);
}

static void tailscale_get_events(struct device *device,
				 void (*event)(const struct device_event *event, void *userdata),
				 void *userdata)
{
	tailscale_events_take(((struct tailscale *)device)->view->events, event, userdata);
}

static const struct device_ops tailscale_ops;

/* The view of the API moves, with all that was read, so that its counters go on. */
static int tailscale_take_over(struct device *device, struct device *from)
{
	struct tailscale *tailscale = (struct tailscale *)device, *other = (struct tailscale *)from;
	struct tailscale_view *view = tailscale->view;

	if (from->ops != &tailscale_ops || !from->enabled || device->enabled ||
	    strcmp(view->socket, other->view->socket) != 0)
		return -EINVAL;
	tailscale->view = other->view;
	other->view = view;
	device->enabled = true;
	from->enabled = false;
	return 0;
}

static const struct device_ops tailscale_ops = {
	.name = "tailscale",
	.source = SOURCE_TAILSCALE,
	.free = tailscale_free,
	.set_statistics_enabled = tailscale_set_statistics_enabled,
	.extract_statistics = tailscale_extract_statistics,
	.get_info = tailscale_get_info,
	.get_allowed_ips = tailscale_get_allowed_ips,
	.get_own_routes = tailscale_get_own_routes,
	.foreach_peer = tailscale_foreach_peer,
	.identities = tailscale_identities,
	.get_events = tailscale_get_events,
	.take_over = tailscale_take_over,
};

/* ---- making it ------------------------------------------------------------------------------------- */

/* Whether a connection is accepted, by somebody whom we trust. */
static int try_socket(const char *path, char **ret_reason)
{
	_cleanup_close_ int fd = -1;
	uid_t owner = 0;
	int n, r = unix_socket_connect(path, 0, &fd);

	*ret_reason = NULL;
	if (r == 0)
		r = unix_socket_check_owner(fd, path, &owner);
	else if (r == -ENOENT || r == -ECONNREFUSED)
		r = -ENODEV;
	if (r == 0)
		return 0;
	if (r == -ENODEV)
		n = asprintf(ret_reason, "nothing listens on %s (tailscaled's local API)", path);
	else if (r == -EPERM && fd >= 0)
		n = asprintf(ret_reason, "%s belongs to user %lu, not to root: anybody may have made it",
			     path, (unsigned long)owner);
	else
		n = asprintf(ret_reason, "%s: %s", path, strerror(-r));
	if (n < 0)
		*ret_reason = NULL;
	return r;
}

static int make_view(const struct device_options *options, struct tailscale_view **ret_view)
{
	struct tailscale_view *view = *ret_view = calloc(1, sizeof(*view));
	int r;

	if (!view || text_copy(options->tailscale_socket, &view->socket) < 0)
		return -ENOMEM;
	view->from_zero = options->origin == DEVICE_ORIGIN_NO_SOCKET;
	r = tailscale_helper_new(options->tailscale_helper, view->socket, &view->helper);
	if (r == 0)
		r = tailscale_nodes_new(&view->nodes);
	if (r == 0)
		r = tailscale_reading_new(view->nodes, on_ended, view, &view->reading);
	if (r == 0)
		r = tailscale_events_new(&view->events);
	return r;
}

static int tailscale_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(tailscale_freep) struct device *device = NULL;
	struct tailscale *tailscale = calloc(1, sizeof(*tailscale));
	struct interface interface = {};
	int r;

	if (!tailscale)
		return -ENOMEM;
	device = &tailscale->device;
	device->ops = &tailscale_ops;
	device->layer = options->layer;
	if (text_copy(options->interface, &tailscale->interface) < 0)
		return -ENOMEM;
	/* With userspace networking there is none. */
	if (options->interface && interface_find(options->interface, &interface) == 0)
		tailscale->ifindex = interface.index;
	r = make_view(options, &tailscale->view);
	if (r < 0)
		return r;
	*ret_device = TAKE_PTR(device);
	return 0;
}

int device_tailscale_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r;

	if (options->layer != LAYER_SOCK || !options->tailscale_socket)
		return device_explain(-EINVAL, "no tailscale-socket is configured", ret_reason);
	r = try_socket(options->tailscale_socket, ret_reason);
	if (r < 0)
		return r;
	return device_explain(tailscale_make(options, ret_device),
			      "cannot make the device (is netlogd-tailscale installed?)", ret_reason);
}

enum device_origin device_tailscale_look(const char *socket)
{
	_cleanup_free_ char *reason = NULL;

	return try_socket(socket, &reason) == -ENODEV ? DEVICE_ORIGIN_NO_SOCKET : DEVICE_ORIGIN_UNKNOWN;
}
