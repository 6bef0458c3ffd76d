/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The status is read once for each window, since it alone has the peers' counters and paths. The bus tells of
 * what comes and goes in between, so that a peer is known whose whole life lies within a window; one such
 * reading in a window is enough. The map of regions changes rarely: it is read every hour, and when a peer is
 * at a region that it does not have.
 */

#include "daemon/tailscale/serve.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "daemon/tailscale/api.h"
#include "daemon/tailscale/derp_map.h"
#include "daemon/tailscale/form.h"
#include "daemon/tailscale/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DERP_EVERY (3600 * NSEC_PER_SEC)
#define DERP_AGAIN                                                                                           \
	(60 * NSEC_PER_SEC) /* for regions that it does not have, and when it was not to be had              \
			     */
#define BUS_AGAIN     (30 * NSEC_PER_SEC)
#define BODY_KEPT_MAX (4 * 1024 * 1024)
#define WAIT_MS	      60000
/*
 * NotifyNoPrivateKeys: who may only read is refused without it, and who may do more would be sent this node's
 * private key. NotifyInitialState, and NotifyRateLimit: whole network maps, but rarely.
 */
#define BUS_MASK_OLD 274
/* NotifyNoPrivateKeys, NotifyInitialState, NotifyPeerChanges, NotifyPeerPatches */
#define BUS_MASK_NEW	   36882
#define BUS_NEW_FROM_MINOR 98

struct serve {
	int fd;
	struct api *api;
	struct status *status;
	struct derp_map *derp;
	struct buffer body, lines;
	char input[64];
	size_t n_input;
	uint64_t wanted;  /* the number that the daemon asked for and that was not begun; 0: none */
	uint64_t current; /* of the reading under way */
	bool reading;
	bool held;     /* it has the status and waits for the map of regions */
	bool told;     /* the bus has told of a change */
	bool early;    /* there was a reading for that in this window */
	int64_t begun; /* boot time, as the rest */
	int64_t derp_due, derp_asked, bus_due;
	int error;
};

/* ---- readings -------------------------------------------------------------------------------------- */

static void send_lines(struct serve *serve)
{
	int r = buffer_error(&serve->lines);

	if (r == 0)
		r = write_all(serve->fd, serve->lines.data, serve->lines.length);
	serve->error = serve->error < 0 ? serve->error : r;
	if (serve->lines.allocated > BODY_KEPT_MAX)
		buffer_deinit(&serve->lines);
}

static long long took_ms(const struct serve *serve)
{
	return (time_now_boot() - serve->begun) / NSEC_PER_MSEC;
}

static void fail(struct serve *serve, enum api_problem problem, const char *reason)
{
	buffer_reset(&serve->lines);
	buffer_printf(&serve->lines, "{\"failed\":%llu,\"ms\":%lld,\"problem\":\"%s\",\"reason\":",
		      (unsigned long long)serve->current, took_ms(serve), api_problem_name(problem));
	buffer_append_json_string(&serve->lines, reason);
	buffer_append_text(&serve->lines, "}\n");
	send_lines(serve);
	serve->reading = serve->held = false;
}

/* What the daemon has when this fails half-way is unknown, so it gets all of it next time. Afterwards the
 * answer is no longer needed, and a large one is freed. */
static void write_reading(struct serve *serve)
{
	struct buffer *lines = &serve->lines;
	int r;

	buffer_reset(lines);
	buffer_printf(lines, "{\"begin\":%llu,\"form\":%d,\"server\":\"%s\",\"whole\":%s}\n",
		      (unsigned long long)serve->current, TAILSCALE_FORM, api_server(serve->api),
		      status_is_whole(serve->status) ? "true" : "false");
	r = status_write(serve->status, serve->derp, lines);
	if (r < 0) {
		status_forget_all(serve->status);
		fail(serve, API_BROKEN, "no memory for its answer");
		return;
	}
	buffer_printf(lines, "{\"end\":%llu,\"ms\":%lld", (unsigned long long)serve->current, took_ms(serve));
	status_write_summary(serve->status, lines);
	buffer_append_text(lines, "}\n");
	send_lines(serve);
	serve->reading = serve->held = false;
	if (serve->body.allocated > BODY_KEPT_MAX)
		buffer_deinit(&serve->body);
}

static void ask(struct serve *serve, enum api_resource resource)
{
	int r = api_ask(serve->api, resource);

	serve->error = serve->error < 0 ? serve->error : r;
}

static void ask_regions(struct serve *serve, int64_t now)
{
	serve->derp_asked = now;
	serve->derp_due = now + DERP_EVERY;
	ask(serve, API_DERP_MAP);
}

static void begin_reading(struct serve *serve, uint64_t number)
{
	int64_t now = time_now_boot();

	serve->current = number;
	serve->begun = now;
	serve->reading = true;
	if (now >= serve->derp_due)
		ask_regions(serve, now);
	ask(serve, API_STATUS);
}

/* ---- answers --------------------------------------------------------------------------------------- */

/* Versions from 1.98 on no longer tell of peers with the bits that older ones know. */
static unsigned int bus_mask(const struct serve *serve)
{
	_cleanup_buffer_ struct buffer summary = {};
	unsigned int major = 0, minor = 0;
	const char *version;

	status_write_summary(serve->status, &summary);
	buffer_append_char(&summary, '\0');
	version = buffer_error(&summary) ? NULL : strstr(summary.data, "\"version\":\"");
	if (version)
		sscanf(version, "\"version\":\"%u.%u", &major, &minor);
	return major > 1 || (major == 1 && minor >= BUS_NEW_FROM_MINOR) ? BUS_MASK_NEW : BUS_MASK_OLD;
}

static void take_status(struct serve *serve, const struct api_answer *answer)
{
	struct buffer body = serve->body;
	int64_t now = time_now_boot();
	int r;

	if (answer->problem != API_FINE) {
		fail(serve, answer->problem, answer->reason);
		return;
	}
	serve->body = *answer->body;
	*answer->body = body;
	r = status_read(serve->status, serve->body.data, serve->body.length);
	if (r < 0) {
		fail(serve, API_BROKEN,
		     r == -ENOMEM ? "no memory for its answer" : "its answer is not a node's status");
		return;
	}
	if (now - serve->derp_asked >= DERP_AGAIN && status_needs_regions(serve->status, serve->derp))
		ask_regions(serve, now);
	if (now >= serve->bus_due && !api_is_asking(serve->api, API_BUS)) {
		api_set_bus_mask(serve->api, bus_mask(serve));
		ask(serve, API_BUS);
	}
	serve->held = api_is_asking(serve->api, API_DERP_MAP);
	if (!serve->held)
		write_reading(serve);
}

static void take_regions(struct serve *serve, const struct api_answer *answer)
{
	struct derp_map *map = NULL;
	int r = answer->problem != API_FINE ? -EIO
					    : derp_map_read(answer->body->data, answer->body->length, &map);

	if (r == 0) {
		derp_map_free(serve->derp);
		serve->derp = map;
		status_forget_regions(serve->status);
	} else {
		serve->derp_due = serve->derp_asked + DERP_AGAIN;
	}
	if (serve->held)
		write_reading(serve);
}

static void on_answered(enum api_resource resource, const struct api_answer *answer, void *userdata)
{
	struct serve *serve = userdata;

	if (resource == API_STATUS)
		take_status(serve, answer);
	else if (resource == API_DERP_MAP)
		take_regions(serve, answer);
	else
		serve->bus_due = time_now_boot() + BUS_AGAIN;
}

static void on_told(void *userdata)
{
	((struct serve *)userdata)->told = true;
}

/* ---- requests -------------------------------------------------------------------------------------- */

/* "read N": only the last one matters, the daemon does not wait for those before. */
static int take_request(struct serve *serve, const char *line)
{
	static const char verb[] = "read ";

	if (strncmp(line, verb, strlen(verb)) != 0 || parse_u64(line + strlen(verb), &serve->wanted) < 0 ||
	    serve->wanted == 0)
		return -EBADMSG;
	return 0;
}

/* 1: the daemon has gone. */
static int read_requests(struct serve *serve)
{
	ssize_t n = recv(serve->fd, serve->input + serve->n_input, sizeof(serve->input) - serve->n_input - 1,
			 MSG_DONTWAIT);
	char *end;
	int r = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 1;
	serve->n_input += (size_t)n;
	serve->input[serve->n_input] = '\0';
	while (r == 0 && (end = strchr(serve->input, '\n'))) {
		*end++ = '\0';
		r = take_request(serve, serve->input);
		serve->n_input -= (size_t)(end - serve->input);
		memmove(serve->input, end, serve->n_input + 1);
	}
	return r < 0 || serve->n_input == sizeof(serve->input) - 1 ? -EBADMSG : 0;
}

static void begin_what_is_due(struct serve *serve)
{
	if (serve->reading)
		return;
	if (serve->wanted) {
		begin_reading(serve, serve->wanted);
		serve->wanted = 0;
		serve->told = serve->early = false;
	} else if (serve->told && !serve->early) {
		serve->told = false;
		serve->early = true;
		begin_reading(serve, 0);
	}
}

static int run(struct serve *serve)
{
	int r = 0;

	while (r == 0) {
		begin_what_is_due(serve);
		r = api_wait(serve->api, serve->fd, WAIT_MS);
		if (r == 0)
			r = serve->error;
		if (r == 0)
			r = read_requests(serve);
	}
	return r;
}

int serve(int fd, const char *path)
{
	static const struct api_ops ops = {.answered = on_answered, .told = on_told};
	struct serve serve = {.fd = fd};
	int r = api_new(path, &ops, &serve, &serve.api);

	if (r == 0)
		r = status_new(&serve.status);
	if (r == 0)
		r = run(&serve);
	api_free(serve.api);
	status_free(serve.status);
	derp_map_free(serve.derp);
	buffer_deinit(&serve.body);
	buffer_deinit(&serve.lines);
	return r == -EPIPE || r == -ECONNRESET || r > 0 ? 0 : r;
}
