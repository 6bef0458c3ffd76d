/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl peers: who is at the other ends of the tunnel, where, and how they are reached. */

#include "control/commands/commands.h"

#include "common/plural.h"
#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/peer_text.h"
#include "control/table.h"
#include "control/units.h"

#include <errno.h>
#include <string.h>

/* "12 s ago"; "never" without a time. */
static const char *age_of(const json_t *peer, const char *member, int64_t now,
			  char ret_text[static PEER_TEXT_MAX])
{
	char age[UNITS_TEXT_MAX];
	int64_t time;

	if (time_parse(json_text(peer, member), &time) < 0)
		return "never";
	snprintf(ret_text, PEER_TEXT_MAX, "%s ago", units_duration(now > time ? now - time : 0, age));
	return ret_text;
}

/* "" for a member that is not there. */
static const char *bytes_of(const json_t *peer, const char *member, char ret_text[static UNITS_TEXT_MAX])
{
	if (!json_object_get(peer, member))
		return "";
	return units_bytes((uint64_t)json_number(peer, member), ret_text);
}

static const char *rate_of(const json_t *peer, const char *member, char ret_text[static UNITS_TEXT_MAX])
{
	if (!json_object_get(peer, member))
		return "";
	return units_byte_rate((uint64_t)json_number(peer, member), NSEC_PER_SEC, ret_text);
}

/* Peers come from the sock device: its state tells why there are none. */
static void explain_none(struct ctl *ctl, const json_t *status)
{
	const json_t *sock = json_object_get(status, "sock");
	const char *source = json_text(sock, "source"), *state = json_text(sock, "state");
	const char *reason = json_text(sock, "reason"), *interface = json_text(sock, "interface");
	_cleanup_free_ char *made = NULL;
	const char *why = NULL;
	int n = 0;

	if (!json_flag(status, "running"))
		why = "the logger is stopped (\"netlogctl start\" starts it)";
	else if (strcmp(json_text(sock, "configured"), "none") == 0)
		why = "with [sock] source=none the tunnel is not asked for them";
	else if (strcmp(state, "counting") != 0)
		n = *reason ? asprintf(&made, "%s", reason) : asprintf(&made, "the sock device is %s", state);
	else if (strcmp(source, "none") == 0)
		n = asprintf(&made, "no WireGuard or Tailscale tunnel is counted%s%s", *reason ? ": " : "",
			     reason);
	else if (strcmp(source, "wireguard") != 0 && strcmp(source, "tailscale") != 0)
		n = asprintf(&made, "the source %s does not name a tunnel's peers", source);
	else if (!*json_text(json_object_get(status, "window"), "lastEnd"))
		why = "no window has ended yet (\"netlogctl flush\" ends this one)";
	else
		n = asprintf(&made, "%s had none at the end of the last window%s%s",
			     *interface ? interface : "the tunnel", *reason ? ": " : "", reason);
	print_color(ctl->out, false, TABLE_PLAIN, "no peers are known: %s",
		    why	    ? why
		    : n < 0 ? "out of memory"
			    : made);
	fputc('\n', ctl->out);
}

static enum table_color state_color(const json_t *peer)
{
	if (json_flag(peer, "active"))
		return TABLE_GREEN;
	return *json_text(peer, "lastSeen") ? TABLE_YELLOW : TABLE_DIM;
}

/* Since when bytes of today are counted, where that is not the whole day. */
static void print_since(struct ctl *ctl, const json_t *peers, int64_t now)
{
	int64_t since = peers_today_since(peers, now);
	char time[PEER_TEXT_MAX];

	if (since == 0)
		return;
	print_color(ctl->out, ctl->color, TABLE_DIM,
		    "Bytes of today: since %.64s, when netlogd began to see them",
		    local_time(since, now, time));
	fputc('\n', ctl->out);
}

/* How many peers have each name. Owned by the caller; NULL: no memory. */
static json_t *count_names(const json_t *peers)
{
	json_t *counts = json_object(), *peer;
	char name[PEER_TEXT_MAX];
	size_t i;

	json_array_foreach ((json_t *)peers, i, peer) {
		json_int_t n = json_number(counts, peer_name(peer, name));

		json_object_set_new(counts, name, json_integer(n + 1));
	}
	return counts;
}

/* With its ID behind the name, where another one has that name. */
static void add_name(struct table *table, const json_t *peer, const json_t *counts)
{
	const char *id = json_text(peer, "nodeId");
	char name[PEER_TEXT_MAX];

	if (json_number(counts, peer_name(peer, name)) > 1 && *id)
		table_cell(table, "%s (%s)", name, id);
	else
		table_cell(table, "%s", name);
}

static int print_peers(struct ctl *ctl, const json_t *peers, bool keys)
{
	enum { SENT_TODAY = 8 };
	/* The lower the last number, the longer a column stays where lines are short. */
	static const struct table_column columns[] = {
		{.title = "PEER", .shortest = 12},
		{.title = "PATH"},
		{.title = "ENDPOINT", .dispensable = 1},
		{.title = "STATE", .dispensable = 2},
		{.title = "SEEN", .dispensable = 6},
		{.title = "HANDSHAKE", .dispensable = 3},
		{.title = "SENT/S", .align = TABLE_RIGHT, .dispensable = 4},
		{.title = "RECEIVED/S", .align = TABLE_RIGHT, .dispensable = 4},
		[SENT_TODAY] = {.title = "SENT TODAY", .align = TABLE_RIGHT, .dispensable = 5},
		{.title = "RECEIVED TODAY", .align = TABLE_RIGHT, .dispensable = 5},
		{.title = "ADDRESSES", .dispensable = 7},
		{.title = "PUBLIC KEY"},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	json_auto_t *names = count_names(peers);
	char text[PEER_TEXT_MAX], units[UNITS_TEXT_MAX];
	int64_t now = time_now_wall();
	size_t i, width, lines;
	json_t *peer;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(ctl, "out of memory");
	json_array_foreach ((json_t *)peers, i, peer) {
		add_name(table, peer, names);
		table_cell(table, "%s", peer_path(peer, text));
		table_cell(table, "%s", peer_endpoint(peer));
		table_cell_color(table, state_color(peer), "%s", peer_state(peer, now, text));
		table_cell(table, "%s", age_of(peer, "lastSeen", now, text));
		table_cell(table, "%s", age_of(peer, "lastHandshake", now, text));
		table_cell(table, "%s", rate_of(peer, "txRate", units));
		table_cell(table, "%s", rate_of(peer, "rxRate", units));
		table_cell(table, "%s", bytes_of(peer, "txBytesToday", units));
		table_cell(table, "%s", bytes_of(peer, "rxBytesToday", units));
		table_cell_list(table, json_object_get(peer, "addresses"));
		table_cell(table, "%s", keys ? json_text(peer, "publicKey") : "");
	}
	ctl_terminal_size(ctl, &width, &lines);
	if (table_print(table, ctl->out, ctl->color, width) < 0)
		return ctl_error(ctl, "out of memory");
	if (table_shows(table, SENT_TODAY, width))
		print_since(ctl, peers, now);
	return CTL_OK;
}

/* ---- one peer --------------------------------------------------------------------------------------- */

static void print_line(struct ctl *ctl, const char *name, enum table_color color, const char *text)
{
	if (!*text)
		return;
	fprintf(ctl->out, "  %-12s", name);
	print_color(ctl->out, ctl->color, color, "%s", text);
	fputc('\n', ctl->out);
}

static void print_list(struct ctl *ctl, const char *name, const json_t *list)
{
	const json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	fprintf(ctl->out, "  %-12s", name);
	json_array_foreach ((json_t *)list, i, item)
		print_color(ctl->out, false, TABLE_PLAIN, "%s%s", i > 0 ? ", " : "", json_string_value(item));
	fputc('\n', ctl->out);
}

/* A line with both directions; nothing where the first is not known. */
static void print_both(struct ctl *ctl, const char *name, const char *sent, const char *received,
		       const char *rest)
{
	char text[PEER_TEXT_MAX];

	if (!*sent)
		return;
	snprintf(text, sizeof(text), "sent %s, received %s%.128s", sent, received, rest);
	print_line(ctl, name, TABLE_PLAIN, text);
}

static void print_move(struct ctl *ctl, const json_t *peer, int64_t now)
{
	char when[PEER_TEXT_MAX], from[PEER_TEXT_MAX];
	_cleanup_free_ char *text = NULL;
	int64_t moved;

	if (time_parse(json_text(peer, "movedAt"), &moved) < 0)
		return;
	if (asprintf(&text, "%s, from %s", local_time(moved, now, when), peer_place(peer, true, from)) < 0)
		text = NULL;
	print_line(ctl, "moved", TABLE_PLAIN, text ? text : "");
}

static void print_peer(struct ctl *ctl, const json_t *peer)
{
	const char *place, *owner = json_text(peer, "user");
	char text[PEER_TEXT_MAX], since[PEER_TEXT_MAX] = "", sent[UNITS_TEXT_MAX], received[UNITS_TEXT_MAX];
	int64_t now = time_now_wall(), today;

	print_color(ctl->out, ctl->color, TABLE_BOLD, "%s", peer_name(peer, text));
	fputc('\n', ctl->out);
	place = peer_place(peer, false, text);
	print_line(ctl, "path", TABLE_PLAIN, *place ? place : "not known");
	print_move(ctl, peer, now);
	print_line(ctl, "state", state_color(peer), peer_state(peer, now, text));
	print_line(ctl, "last seen", TABLE_PLAIN, age_of(peer, "lastSeen", now, text));
	print_line(ctl, "handshake", TABLE_PLAIN, age_of(peer, "lastHandshake", now, text));
	print_both(ctl, "rate", rate_of(peer, "txRate", sent), rate_of(peer, "rxRate", received), "");
	if (time_parse(json_text(peer, "todaySince"), &today) == 0)
		snprintf(since, sizeof(since), " since %.64s", local_time(today, now, text));
	print_both(ctl, "today", bytes_of(peer, "txBytesToday", sent),
		   bytes_of(peer, "rxBytesToday", received), since);
	print_both(ctl, "in all", bytes_of(peer, "txBytes", sent), bytes_of(peer, "rxBytes", received), "");
	print_list(ctl, "addresses", json_object_get(peer, "addresses"));
	print_line(ctl, "owner", TABLE_PLAIN, owner);
	print_list(ctl, "tags", json_object_get(peer, "tags"));
	print_line(ctl, "OS", TABLE_PLAIN, json_text(peer, "os"));
	print_line(ctl, "node ID", TABLE_PLAIN, json_text(peer, "nodeId"));
	print_line(ctl, "public key", TABLE_PLAIN, json_text(peer, "publicKey"));
}

/* Keeps those that the word means. */
static int select_peers(struct ctl *ctl, json_t *peers, const char *word)
{
	size_t n = json_array_size(peers);

	for (size_t i = n; i-- > 0;)
		if (!peer_is(json_array_get(peers, i), word))
			json_array_remove(peers, i);
	if (json_array_size(peers) > 0)
		return CTL_OK;
	return ctl_error(ctl, "none of the tunnel's %zu %s is \"%s\" (\"netlogctl peers\" shows them)", n,
			 plural(n, "peer", "peers"), word);
}

/* --- the command --- */

static int get_peers(struct ctl *ctl, const char *sort, const char *word, json_t **ret_peers)
{
	json_auto_t *peers = NULL;
	int r = ctl_list(ctl, "GetPeers", "peers", &peers);

	if (r != CTL_OK)
		return r;
	if (!peers)
		return ctl_error(ctl, "this daemon does not know GetPeers (an older version?)");
	if (word && json_array_size(peers) > 0)
		r = select_peers(ctl, peers, word);
	if (r == CTL_OK && peers_sort(peers, sort) < 0)
		r = ctl_error(ctl, "out of memory");
	if (r == CTL_OK)
		*ret_peers = json_incref(peers);
	return r;
}

int cmd_peers(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *peers = NULL, *object = NULL, *reply = NULL;
	const char *sort = "active", *word;
	char **words = NULL;
	bool keys = false;
	const struct ctl_option options[] = {{.name = "keys", .flag = &keys},
					     {.name = "sort", .value = &sort}};
	json_t *peer;
	size_t i;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 1, &words);
	if (r != CTL_OK)
		return r;
	word = words[0];
	if (peers_sort(NULL, sort) == -EINVAL)
		return ctl_usage(ctl, "--sort: one of " PEERS_SORT_WORDS);
	r = get_peers(ctl, sort, word, &peers);
	if (r != CTL_OK)
		return r;
	if (ctl->json) {
		object = json_pack("{sO}", "peers", peers);
		r = ctl_print_json(ctl, object);
		return word && json_array_size(peers) == 0 ? CTL_FAILED : r;
	}
	if (json_array_size(peers) == 0) {
		r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);
		if (r == CTL_OK)
			explain_none(ctl, json_object_get(reply, "status"));
		return word && r == CTL_OK ? CTL_FAILED : r;
	}
	if (!word)
		return print_peers(ctl, peers, keys);
	json_array_foreach (peers, i, peer)
		print_peer(ctl, peer);
	return CTL_OK;
}
