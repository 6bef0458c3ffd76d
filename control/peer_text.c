/* SPDX-License-Identifier: BSD-3-Clause */
/* What is not known makes no text, so that its column or line is left out. */

#include "control/peer_text.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "control/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SHORT_ID 8 /* characters */

static const char *peer_id(const json_t *peer)
{
	const char *id = json_text(peer, "nodeId");

	return *id ? id : json_text(peer, "publicKey");
}

const char *peer_name(const json_t *peer, char ret_text[static PEER_TEXT_MAX])
{
	const char *name = json_text(peer, "name"), *id = peer_id(peer);
	const char *address = json_string_value(json_array_get(json_object_get(peer, "addresses"), 0));

	if (*name)
		snprintf(ret_text, PEER_TEXT_MAX, "%s", name);
	else if (*id || !address)
		snprintf(ret_text, PEER_TEXT_MAX, "%.*s", SHORT_ID, id);
	else
		snprintf(ret_text, PEER_TEXT_MAX, "%s", address);
	return ret_text;
}

/* A DERP region without a code has a number, which stands where the endpoint has its port. */
static const char *path_text(const char *path, const char *via, const char *endpoint,
			     char ret_text[static PEER_TEXT_MAX])
{
	const char *colon = strrchr(endpoint, ':');

	if (strcmp(path, "derp") == 0)
		snprintf(ret_text, PEER_TEXT_MAX, "DERP%s%s", *via || colon ? " " : "",
			 *via	 ? via
			 : colon ? colon + 1
				 : "");
	else
		snprintf(ret_text, PEER_TEXT_MAX, "%s", path);
	return ret_text;
}

const char *peer_path(const json_t *peer, char ret_text[static PEER_TEXT_MAX])
{
	return path_text(json_text(peer, "path"), json_text(peer, "via"), json_text(peer, "endpoint"),
			 ret_text);
}

/* Not of that kind by which Tailscale writes its relays: nobody has that address. */
static const char *real_endpoint(const char *endpoint)
{
	return strncmp(endpoint, "127.3.3.40:", strlen("127.3.3.40:")) == 0 ? "" : endpoint;
}

const char *peer_endpoint(const json_t *peer)
{
	return real_endpoint(json_text(peer, "endpoint"));
}

const char *peer_place(const json_t *peer, bool before, char ret_text[static PEER_TEXT_MAX])
{
	const char *path = json_text(peer, before ? "fromPath" : "path");
	const char *endpoint = json_text(peer, before ? "fromEndpoint" : "endpoint");
	char text[PEER_TEXT_MAX];

	path_text(path, json_text(peer, before ? "fromVia" : "via"), endpoint, text);
	endpoint = real_endpoint(endpoint);
	snprintf(ret_text, PEER_TEXT_MAX, "%.240s%s%.64s", text, *text && *endpoint ? ", " : "", endpoint);
	return ret_text;
}

const char *local_time(int64_t time, int64_t now, char ret_text[static PEER_TEXT_MAX])
{
	time_t seconds = (time_t)(time / NSEC_PER_SEC), now_seconds = (time_t)(now / NSEC_PER_SEC);
	struct tm then = {}, today = {};
	size_t n;

	localtime_r(&seconds, &then);
	localtime_r(&now_seconds, &today);
	if (then.tm_year != today.tm_year)
		n = strftime(ret_text, PEER_TEXT_MAX, "%Y-%m-%d %H:%M", &then);
	else if (then.tm_yday != today.tm_yday)
		n = strftime(ret_text, PEER_TEXT_MAX, "%m-%d %H:%M", &then);
	else
		n = strftime(ret_text, PEER_TEXT_MAX, "%H:%M", &then);
	if (n == 0)
		ret_text[0] = '\0';
	return ret_text;
}

/* 0 without one. */
static int64_t time_of(const json_t *peer, const char *member)
{
	int64_t time;

	return time_parse(json_text(peer, member), &time) < 0 ? 0 : time;
}

const char *peer_state(const json_t *peer, int64_t now, char ret_text[static PEER_TEXT_MAX])
{
	const json_t *active = json_object_get(peer, "active");
	char since[PEER_TEXT_MAX];
	int64_t seen = time_of(peer, "lastSeen");

	if (!active)
		ret_text[0] = '\0';
	else if (json_is_true(active))
		snprintf(ret_text, PEER_TEXT_MAX, "active");
	else if (seen)
		snprintf(ret_text, PEER_TEXT_MAX, "silent since %.64s", local_time(seen, now, since));
	else
		snprintf(ret_text, PEER_TEXT_MAX, "never seen");
	return ret_text;
}

int64_t peers_today_since(const json_t *peers, int64_t now)
{
	time_t seconds = (time_t)(now / NSEC_PER_SEC);
	int64_t first = INT64_MAX, since;
	struct tm midnight = {};
	json_t *peer;
	size_t i;

	json_array_foreach ((json_t *)peers, i, peer) {
		since = time_of(peer, "todaySince");
		if (since)
			first = MIN(first, since);
	}
	localtime_r(&seconds, &midnight);
	midnight.tm_hour = midnight.tm_min = midnight.tm_sec = 0;
	midnight.tm_isdst = -1;
	if (first == INT64_MAX || first <= (int64_t)mktime(&midnight) * NSEC_PER_SEC)
		return 0;
	return first;
}

bool peer_is(const json_t *peer, const char *word)
{
	const char *name = json_text(peer, "name"), *id = peer_id(peer);
	char shown[PEER_TEXT_MAX];
	size_t n = strlen(word);
	const json_t *address;
	size_t i;

	if (n == 0)
		return false;
	/* Names of hosts know no case. */
	if (strncasecmp(name, word, n) == 0 && (name[n] == '\0' || name[n] == '.'))
		return true;
	if (strcmp(id, word) == 0 || strcmp(json_text(peer, "publicKey"), word) == 0 ||
	    strcmp(peer_name(peer, shown), word) == 0)
		return true;
	json_array_foreach (json_object_get(peer, "addresses"), i, address) {
		const char *text = json_string_value(address);

		if (text && strcasecmp(text, word) == 0)
			return true;
	}
	return false;
}

/* --- order --- */

struct place {
	json_t *peer;
	char name[PEER_TEXT_MAX];
	int64_t key; /* the highest one comes first */
	size_t number;
};

static int64_t key_of(const json_t *peer, const char *by)
{
	if (strcmp(by, "seen") == 0)
		return time_of(peer, "lastSeen");
	if (strcmp(by, "handshake") == 0)
		return time_of(peer, "lastHandshake");
	if (strcmp(by, "rate") == 0)
		return json_number(peer, "txRate") / 2 + json_number(peer, "rxRate") / 2;
	if (strcmp(by, "today") == 0)
		return json_number(peer, "txBytesToday") / 2 + json_number(peer, "rxBytesToday") / 2;
	if (strcmp(by, "active") == 0)
		return json_flag(peer, "active");
	return strcmp(by, "name") == 0 ? 0 : -EINVAL;
}

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = strcasecmp(left->name, right->name);

	if (left->key != right->key)
		return left->key < right->key ? 1 : -1;
	if (order == 0)
		order = strcmp(left->name, right->name);
	if (order == 0)
		order = left->number < right->number ? -1 : 1;
	return order;
}

int peers_sort(json_t *peers, const char *by)
{
	size_t n = json_array_size(peers);
	_cleanup_free_ struct place *places = calloc(n + 1, sizeof(*places));
	int r = 0;

	if (key_of(NULL, by) < 0)
		return -EINVAL;
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		places[i].peer = json_incref(json_array_get(peers, i));
		places[i].key = key_of(places[i].peer, by);
		places[i].number = i;
		peer_name(places[i].peer, places[i].name);
	}
	qsort(places, n, sizeof(*places), compare_places);
	for (size_t i = 0; i < n; i++)
		if (json_array_set_new(peers, i, places[i].peer) < 0)
			r = -ENOMEM;
	return r;
}
